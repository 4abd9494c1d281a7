/* Sends one WebSocket message to many sockets, without Python's lock.
 *
 *   send(descriptors: list[int], data: bytes) -> list[tuple[int, int]]
 *
 * Writes the same bytes to every descriptor once and waits for none. Returns those that did not take all of it, as
 * (place in the list, bytes taken): a negative descriptor, which is passed over, a full socket, a broken one. What
 * is to be done about them the event loop knows, which has the same sockets and learns their errors itself.
 *
 * `live/gateway/broadcast.py` is the only caller; tests/gateway/test_broadcast.py holds both to their word.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <limits.h>
#include <sys/socket.h>

enum { INTERFACE = 1 }; /* live.gateway.broadcast.INTERFACE: raise both when what Python passes changes */

typedef struct {
    int descriptor;
    ssize_t taken;
} Line;

static int collect(Line *lines, PyObject *descriptors, Py_ssize_t count)
{
    for (Py_ssize_t n = 0; n < count; n++) {
        long descriptor = PyLong_AsLong(PyList_GetItem(descriptors, n));
        if (descriptor == -1 && PyErr_Occurred())
            return 0;
        if (descriptor > INT_MAX) {
            PyErr_SetString(PyExc_OverflowError, "no descriptor is so large");
            return 0;
        }
        lines[n] = (Line){.descriptor = descriptor < 0 ? -1 : (int)descriptor};
    }
    return 1;
}

/* Gives how many did not take all. */
static Py_ssize_t run(Line *lines, Py_ssize_t count, const char *data, size_t size)
{
    Py_ssize_t left = 0;
    for (Py_ssize_t n = 0; n < count; n++) {
        if (lines[n].descriptor >= 0) {
            ssize_t taken = send(lines[n].descriptor, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
            lines[n].taken = taken < 0 ? 0 : taken;
        }
        left += (size_t)lines[n].taken < size;
    }
    return left;
}

static PyObject *report(const Line *lines, Py_ssize_t left, size_t size)
{
    PyObject *found = PyList_New(left);
    for (Py_ssize_t n = 0, at = 0; found && at < left; n++) {
        if ((size_t)lines[n].taken == size)
            continue;
        PyObject *pair = Py_BuildValue("(nn)", n, (Py_ssize_t)lines[n].taken);
        if (!pair || PyList_SetItem(found, at++, pair))
            Py_CLEAR(found);
    }
    return found;
}

static PyObject *send_all(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *descriptors, *found = NULL;
    Py_buffer data;
    if (!PyArg_ParseTuple(args, "O!y*", &PyList_Type, &descriptors, &data))
        return NULL;
    Py_ssize_t count = PyList_Size(descriptors), left;
    Line *lines = PyMem_Malloc((size_t)(count ? count : 1) * sizeof *lines);
    if (!lines) {
        PyErr_NoMemory();
    } else if (collect(lines, descriptors, count)) {
        Py_BEGIN_ALLOW_THREADS
        left = run(lines, count, data.buf, (size_t)data.len);
        Py_END_ALLOW_THREADS
        found = report(lines, left, (size_t)data.len);
    }
    PyMem_Free(lines);
    PyBuffer_Release(&data);
    return found;
}

static PyMethodDef methods[] = {
    {"send", send_all, METH_VARARGS, "send(descriptors, data) -> [(place, bytes taken), ...] of who did not take all"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_broadcast", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit__broadcast(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_AddIntConstant(module, "INTERFACE", INTERFACE))
        Py_CLEAR(module);
    return module;
}

"""The client's files: one index for every page address, and hashed assets that browsers may keep for ever."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

CLIENT = Path(__file__).parent / "client"
ADDRESSES = ("/", "/organise", "/organise/{id}", "/s/{id}")

_NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Madoi</title>
<h1>The client is not built yet</h1>
<p>This server runs from a source tree without its pages. Build them once and reload:</p>
<pre>make client</pre>
<p>The API, WHIP, WHEP and the WebSocket work without it; <a href="/api/openapi.json">/api/openapi.json</a>
lists them.</p>
"""


def routes(folder: Path = CLIENT) -> list[Route]:
    """Make the pages' addresses and one for the client's files.

    Args:
        folder: where Vite put the built client.
    """
    files = _Assets(directory=folder, check_dir=False)

    async def page(_request: Request) -> Response:
        index = folder / "index.html"
        if not index.is_file():
            return HTMLResponse(_NOT_BUILT, 503, {"Cache-Control": "no-store"})
        return FileResponse(
            index, headers={"Cache-Control": "no-cache"}, media_type="text/html; charset=utf-8"
        )

    async def asset(request: Request) -> Response:
        return await files.get_response(request.path_params["path"], request.scope)

    async def robots(_request: Request) -> Response:
        return PlainTextResponse("User-agent: *\nDisallow: /\n")

    return [
        *(Route(address, page, methods=["GET"]) for address in ADDRESSES),
        Route("/robots.txt", robots, methods=["GET"]),
        Route("/{path:path}", asset, methods=["GET"]),
    ]


class _Assets(StaticFiles):
    """Static files; Vite's `assets/` carry a hash of their content in the name."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file, saying how long it may be kept."""
        response = await super().get_response(path, scope)
        hashed = path.startswith("assets/")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if hashed else "no-cache"
        return response

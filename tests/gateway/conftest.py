"""A node in this loop, on either store."""

import pytest

from tests.kit.rooms import gateway


@pytest.fixture
async def node(where):
    async with gateway(where) as node:
        yield node

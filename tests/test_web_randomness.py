from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from gql_epoint.web.randomness import RandomPool


def test_no_byte_is_given_out_twice() -> None:
    """What is given out is what the source gave, in its order and each byte once."""
    asked: list[int] = []

    def source(count: int) -> bytes:
        asked.append(count)
        return bytes(number % 251 for number in range(count))

    pool = RandomPool(source)
    block = source(RandomPool.SIZE)
    taken = b"".join(pool(10) for _ in range(RandomPool.SIZE // 10))

    assert taken == block[: len(taken)]
    assert pool(10) == block[:10]
    assert asked == [RandomPool.SIZE] * 3


def test_threads_get_bytes_of_their_own() -> None:
    pool = RandomPool(os.urandom)
    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(lambda _: pool(16), range(20_000)))

    assert len(set(got)) == len(got)
    assert {len(one) for one in got} == {16}

"""Tokenizers' files to protobuf and back, in pieces."""

from collections.abc import Iterator, Mapping

from tiercel.errors import InvalidRequest
from tiercel.v1 import tier_pb2 as pb

PIECE_BYTES = 1 << 20
# The largest vocabularies in use, of a quarter of a million tokens, take half of this.
MAX_BYTES = 64 << 20


def files_to_pb(files: Mapping[str, bytes]) -> Iterator[pb.GetTokenizerResponse]:
    """Yield the messages for the files, one after the other."""
    for name, data in files.items():
        for start in range(0, len(data), PIECE_BYTES):
            yield pb.GetTokenizerResponse(file=name, data=data[start : start + PIECE_BYTES])


class FileCollector:
    """Puts files together again."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[bytes]] = {}
        self._num_bytes = 0

    @property
    def files(self) -> dict[str, bytes]:
        """The content of each file, by name."""
        return {name: b"".join(pieces) for name, pieces in self._pieces.items()}

    def take(self, message: pb.GetTokenizerResponse) -> None:
        """Take the next piece; raises InvalidRequest once it is too much."""
        self._num_bytes += len(message.file) + len(message.data)
        if self._num_bytes > MAX_BYTES:
            raise InvalidRequest("tokenizer", self._num_bytes, f"is over {MAX_BYTES} bytes")
        self._pieces.setdefault(message.file, []).append(message.data)

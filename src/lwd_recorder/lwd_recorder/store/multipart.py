"""One S3 upload in parts, which another process may go on with: parts that the server has are not sent again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from lwd_recorder.store.base import StoreError
from lwd_recorder.store.parts import Part


class _Sent(NamedTuple):
    etag: str
    size: int
    checksum: str


class MultipartUpload:
    """`begin` or `resume`, then `send` every part in order, then `complete`. Raises botocore's errors."""

    def __init__(
        self, client: Any, bucket: str, name: str, body: Callable[[bytes], object]
    ) -> None:
        """Prepare.

        Args:
            client: a boto3 S3 client.
            bucket: the bucket.
            name: of the object.
            body: what is handed to the client as the body of some bytes.
        """
        self._client = client
        self._object = {'Bucket': bucket, 'Key': name}
        self._body = body
        self._there: dict[int, _Sent] = {}
        self._parts: list[dict[str, Any]] = []
        self.upload_id = ''
        """S3's name of the upload."""
        self.part_bytes = 0
        """Size of all parts but the last."""
        self.sent_bytes = 0
        """Bytes that this object sent."""

    def begin(self, part_bytes: int, metadata: Mapping[str, str]) -> None:
        """Start an upload with parts of a size."""
        reply = self._client.create_multipart_upload(
            **self._object, ChecksumAlgorithm='SHA256', Metadata=dict(metadata)
        )
        self.upload_id, self.part_bytes = str(reply['UploadId']), part_bytes

    def resume(self, upload_id: str, part_bytes: int) -> bool:
        """Go on with an upload; False when the server does not know it any more."""
        pages = self._client.get_paginator('list_parts')
        try:
            for page in pages.paginate(**self._object, UploadId=upload_id):
                for part in page.get('Parts', []):
                    self._there[int(part['PartNumber'])] = _Sent(
                        str(part['ETag']), int(part['Size']), str(part.get('ChecksumSHA256', ''))
                    )
        except ClientError as error:
            if error.response.get('Error', {}).get('Code') in ('NoSuchUpload', '404'):
                return False
            raise
        self.upload_id, self.part_bytes = upload_id, part_bytes
        return True

    def send(self, part: Part) -> None:
        """Send a part unless the server has it.

        Raises:
            StoreError: the server answers with the checksum of other bytes.
        """
        sent = self._there.get(part.number)
        if sent is None or not _is_same(sent, part):
            reply = self._client.upload_part(
                **self._object,
                UploadId=self.upload_id,
                PartNumber=part.number,
                Body=self._body(part.data),
                ChecksumSHA256=part.checksum,
            )
            sent = _Sent(str(reply['ETag']), len(part.data), str(reply.get('ChecksumSHA256', '')))
            if not _is_same(sent, part):
                raise StoreError(
                    f'part {part.number} of {self._object["Key"]}: the server answers with another '
                    f'checksum (ETag {sent.etag}); it is sent again'
                )
            self.sent_bytes += len(part.data)
        self._parts.append(
            {'PartNumber': part.number, 'ETag': sent.etag, 'ChecksumSHA256': part.checksum}
        )

    def complete(self) -> None:
        """Make the object out of the parts, unless there is one of its name."""
        self._client.complete_multipart_upload(
            **self._object,
            UploadId=self.upload_id,
            MultipartUpload={'Parts': self._parts},
            IfNoneMatch='*',
        )

    def abort(self) -> None:
        """Give the upload up; the server forgets its parts."""
        self._client.abort_multipart_upload(**self._object, UploadId=self.upload_id)


def _is_same(sent: _Sent, part: Part) -> bool:
    """Compare by the sha256 that the server keeps, or else by the ETag, which is a part's md5."""
    if sent.size != len(part.data):
        return False
    if sent.checksum:
        return sent.checksum == part.checksum
    return sent.etag.strip('"').lower() == part.md5

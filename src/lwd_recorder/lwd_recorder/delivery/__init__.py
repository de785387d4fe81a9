"""From the spool to the store: at least once, idempotent, the manifest last."""

from lwd_recorder.delivery.deliver import ConflictError, Delivery, deliver
from lwd_recorder.delivery.uploader import Uploader, UploaderConfig, UploadTotals

__all__ = ['ConflictError', 'Delivery', 'UploadTotals', 'Uploader', 'UploaderConfig', 'deliver']

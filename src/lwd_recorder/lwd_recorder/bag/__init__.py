"""One bag: rosbag2's folder layout around MCAP files, written durably and read with suspicion."""

from lwd_recorder.bag.errors import BagError
from lwd_recorder.bag.metadata import OfferedQos
from lwd_recorder.bag.options import COMPRESSIONS, Compression, TopicOptions
from lwd_recorder.bag.reader import BagMessage, BagTopic, bag_topics, message_definitions, read_bag
from lwd_recorder.bag.records import BagSummary, FileRecord, TopicRecord
from lwd_recorder.bag.schema import SchemaError, message_definition
from lwd_recorder.bag.writer import BagWriter

__all__ = [
    'COMPRESSIONS',
    'BagError',
    'BagMessage',
    'BagSummary',
    'BagTopic',
    'BagWriter',
    'Compression',
    'FileRecord',
    'OfferedQos',
    'SchemaError',
    'TopicOptions',
    'TopicRecord',
    'bag_topics',
    'message_definition',
    'message_definitions',
    'read_bag',
]

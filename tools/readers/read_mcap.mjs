// Reads .mcap files with @mcap/core (TypeScript, by Foxglove) and decodes every message from the definitions in the file.
// Prints one JSON line a file: messages, and by topic the count, the bytes, a sha256 over all bytes, and what was decoded.
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { createRequire } from "node:module";

import { McapIndexedReader } from "@mcap/core";
import { FileHandleReadable } from "@mcap/nodejs";
import { parse } from "@foxglove/rosmsg";
import { MessageReader } from "@foxglove/rosmsg2-serialization";

const require = createRequire(import.meta.url);
const lz4 = require("lz4js");
const { ZstdCodec } = require("zstd-codec");
const zstd = await new Promise((resolve) => ZstdCodec.run((codec) => resolve(new codec.Simple())));
const decompressHandlers = {
  lz4: (packed) => lz4.decompress(packed),
  zstd: (packed) => zstd.decompress(packed),
};

for (const path of process.argv.slice(2)) {
  const handle = await open(path);
  const reader = await McapIndexedReader.Initialize({
    readable: new FileHandleReadable(handle),
    decompressHandlers,
  });
  const topics = {};
  const decoders = new Map();
  for await (const message of reader.readMessages()) {
    const channel = reader.channelsById.get(message.channelId);
    const schema = reader.schemasById.get(channel.schemaId);
    if (!decoders.has(schema.id)) {
      const definition = parse(new TextDecoder().decode(schema.data), { ros2: true });
      decoders.set(schema.id, new MessageReader(definition));
    }
    const decoded = decoders.get(schema.id).readMessage(message.data);
    const topic = (topics[channel.topic] ??= {
      type: schema.name, count: 0, bytes: 0, hash: createHash("sha256"), fields: 0,
    });
    topic.count += 1;
    topic.bytes += message.data.byteLength;
    topic.hash.update(message.data);
    topic.fields = Object.keys(decoded).length;
  }
  for (const topic of Object.values(topics)) {
    topic.sha256 = topic.hash.digest("hex");
    delete topic.hash;
  }
  console.log(JSON.stringify({ path, topics }));
  await handle.close();
}

import { StreamSource } from '../body/stream.source.js';
import { type DownloadSource } from '../download.js';
import { toEntityTag } from '../entity-tag.js';
import { type Representation } from './representation.js';

/** Content that the application opens at an offset. */
export function sourceRepresentation(source: DownloadSource): Representation {
  return {
    length: source.length,
    seekable: true,
    etag: source.etag === undefined ? undefined : toEntityTag(source.etag),
    lastModified: source.lastModified?.getTime(),
    bytes: () => new StreamSource((start, end, signal) => source.open({ start, end, signal })),
    close: () => Promise.resolve(),
  };
}

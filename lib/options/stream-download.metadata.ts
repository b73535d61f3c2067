/** Metadata key under which `@StreamDownload()` keeps its options. */
export const STREAM_DOWNLOAD = 'nestjs-download-auth:stream-download';

import { type ByteSource } from '../body-reader.js';
import { type DispositionType } from '../content-disposition.js';
import { type DownloadEnd } from '../download.js';
import { type OffloadOptions } from '../offload.js';
import { type PlannedRepresentation } from '../delivery-plan.js';

/** The bytes a handler wants to be sent, and their metadata; RFC 9110's word for it. */
export interface Representation extends PlannedRepresentation {
  /** `Content-Type`, where somebody said. */
  readonly type?: string;
  /** The name to save under, as somebody gave it. */
  readonly filename?: string;
  readonly dispositionType?: DispositionType;
  /** A whole `Content-Disposition` that the handler wrote; wins over name and type of disposition. */
  readonly disposition?: string;
  /** A whole file of this machine, by the path it was opened under: a proxy could send it. */
  readonly path?: string;
  /** Wins over the option of the route. */
  readonly offload?: OffloadOptions | false;
  /** Whether an error of the source means that there is no such object. */
  readonly missing?: (error: unknown) => boolean;
  /** The bytes; whoever asks for them closes them. Called once at most, and not where no body is sent. */
  bytes(): ByteSource;
  /** Told once how the answer ended, whatever became of it. Never throws. */
  readonly ended?: (end: DownloadEnd) => void;
  /** Frees what {@link bytes} was not called for. */
  close(): Promise<void>;
}

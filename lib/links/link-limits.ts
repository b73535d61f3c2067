import { DownloadAuthConfigurationError } from '../options/configuration-error.js';
import { resumeWithinInSeconds } from '../leases/lease-options.js';
import { type Duration } from '../options/duration.js';
import { checkTypes } from '../options/option-types.js';

/** How often and how a link may be used. */
export interface LinkLimitOptions {
  /**
   * How many downloads the link is good for. A download is not a request: what resumes it, what a download manager
   * fetches in parallel and what only looks belongs to it. Default: unlimited.
   */
  maxDownloads?: number;
  /** Only the lease cookie makes a request part of a download, not the client's address. Default: the module's `leases.strict`. */
  strict?: boolean;
  /** How long after the link's end a download that had begun may be resumed; at most 24 hours. Default: the module's `leases.resumeWithin`. */
  resumeWithin?: Duration;
  /** Bytes that one download may send, of a link that is limited or may be resumed after its end. Default: twice the length of what is downloaded (`leases.byteBudget`). */
  byteBudget?: number;
  /** Whether the link is refused while the store cannot say that it was not revoked. Default `false`; limited links are. */
  revocable?: boolean;
}

/** The `lim` claim; durations in seconds. */
export interface LinkLimits {
  readonly max?: number;
  readonly strict?: boolean;
  readonly resume?: number;
  readonly bytes?: number;
  readonly rev?: true;
}

/** @throws DownloadAuthConfigurationError for a number of downloads or bytes that is no whole number from 1 on */
export function limitsOf(options: LinkLimitOptions): LinkLimits | undefined {
  checkTypes(options, { strict: 'boolean', revocable: 'boolean' });
  const { maxDownloads, strict, resumeWithin, byteBudget, revocable } = options;
  const limits: LinkLimits = {
    ...(maxDownloads !== undefined && { max: counted(maxDownloads, 'maxDownloads') }),
    ...(strict !== undefined && { strict }),
    ...(resumeWithin !== undefined && { resume: resumeWithinInSeconds(resumeWithin, 'resumeWithin') }),
    ...(byteBudget !== undefined && { bytes: counted(byteBudget, 'byteBudget') }),
    ...(revocable && { rev: true as const }),
  };
  return Object.keys(limits).length > 0 ? limits : undefined;
}

function counted(value: number, option: string): number {
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new DownloadAuthConfigurationError(
    `${option}: give a whole number from 1 on, or leave it out for no limit.`,
  );
}

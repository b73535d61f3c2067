import { type DownloadEventSink } from '../events/download-event.js';
import { type LeaseClient, type LeasedLink } from './lease-link.js';
import { type ResolvedLeaseOptions } from './lease-options.js';
import { type LeaseTerms } from './lease-record.js';
import { type LeaseBook } from './lease-book.js';
import { type LeaseStore } from './lease-store.js';
import { type Revocable } from './revocation.js';
import { type RunningDownloads } from './running-downloads.js';
import { type Settlements } from './settlements.js';
import { type StoreCalls } from './store-calls.js';

/** What every admission of a keeper works with. */
export interface KeeperContext {
  readonly store: LeaseStore;
  readonly book: LeaseBook;
  readonly options: ResolvedLeaseOptions;
  readonly clock: () => number;
  readonly events?: DownloadEventSink;
  readonly calls: StoreCalls;
  readonly settlements: Settlements;
  readonly running: RunningDownloads;
}

/** What there is to know of a request when it is admitted. */
export interface AdmittedRequest {
  readonly link: LeasedLink;
  readonly client: LeaseClient;
  readonly keys: Revocable;
  /** Its uses are recorded: it is limited, or may be resumed after its expiry. */
  readonly leased: boolean;
  /** Without the store's answer it must be refused. */
  readonly needsStore: boolean;
  /** It must be refused if the store does not remember the time when it was issued. */
  readonly needsRecord: boolean;
  readonly resumeWithin: number;
  readonly terms: LeaseTerms;
  /** The lease that the presented cookie belongs to. */
  readonly lease?: string;
  readonly clientKey?: string;
}

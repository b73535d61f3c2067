export { DownloadAuthModule } from './download-auth.module.js';
export type { DownloadAuth } from './application-guard.js';
export { besideLinks } from './beside-links.js';
export { DownloadAuthGuard } from './download-auth.guard.js';
export { StreamDownload } from './stream-download.decorator.js';
export type { DeliveryOptions } from './delivery/options.js';
export {
  type ByteStream,
  Download,
  type DownloadEnd,
  type DownloadOptions,
  type DownloadSource,
  type FileDownloadOptions,
  type ReadableDownloadOptions,
  type RedirectDownloadOptions,
  type SourceRange,
} from './delivery/download.js';
export type { OffloadOptions } from './delivery/offload.js';
export type {
  AbortedEvent,
  CompletedEvent,
  DownloadEvent,
  MintedEvent,
  OpenedEvent,
  RefusedEvent,
  ResumedEvent,
  RevokedEvent,
  StoreAvailableEvent,
  StoreUnavailableEvent,
} from './events/download-event.js';
export { DownloadEvents } from './events/download-events.js';
export type { LeaseOptions } from './leases/options.js';
export type { LeaseUsage } from './leases/lease-record.js';
export type {
  LeaseStore,
  LinkCommit,
  LinkQuery,
  LinkRecord,
  LinkState,
  RecordChange,
  RevocationListener,
  StoreTimeout,
} from './leases/lease-store.js';
export type { LinkUsage, UsagePage } from './leases/keeper.js';
export type { Revocation } from './leases/revocation.js';
export { RevocationPolling, type RevocationNews } from './leases/revocation-polling.js';
export { MemoryLeaseStore, type MemoryLeaseStoreOptions } from './leases/memory/memory.store.js';
export type { Transport } from './http/http-exchange.js';
export { redactUrl } from './http/redact-url.js';
// an application adds its routes to DownloadRoutes, which TypeScript allows through `export *` only
export type * from './links/link.js';
export { DownloadLinks } from './links/download-links.js';
export { DownloadAuthConfigurationError } from './shared/configuration-error.js';
export type { DownloadAuthOptions, RefusalPage, StreamDownloadOptions } from './download-auth-options.js';
export type { LinkOptions, ToldRouteOptions } from './links/link-options.js';
export type { Duration } from './shared/duration.js';
export { DownloadRefusal, type RefusalCode, type RefusalDetails } from './refusals/download-refusal.js';
export type { TokenClaims } from './tokens/compact-jws.js';
export type { KeyMaterial, SignatureAlgorithm } from './tokens/key-material.js';
export type { KeyRingEntry, SecretOrKeyProvider } from './tokens/keys.js';
export { type CookieOptions, DownloadCookie } from './tokens/download-cookie.js';
export {
  type AccessGrant,
  type DownloadGrant,
  Grant,
  type GrantedLink,
  grantOf,
  type LinkGrant,
  type OtherGrant,
} from './tokens/grant.js';
export type { AcceptOptions } from './tokens/token-options.js';
export type { TokenNameOptions, TransportOptions } from './tokens/transports.js';

// The module and its routes
export { DownloadAuthModule } from './download-auth.module.js';
export type { DownloadAuthOptions, StreamDownloadOptions } from './download-auth-options.js';
export { StreamDownload } from './stream-download.decorator.js';
export { DownloadAuthConfigurationError } from './shared/configuration-error.js';
export type { Duration } from './shared/duration.js';

// Who may download, and who it is
export type { DownloadAuth } from './application-guard.js';
export { besideLinks } from './beside-links.js';
export { DownloadAuthGuard } from './download-auth.guard.js';
export { Grant, grantOf } from './tokens/grant.js';
export type { AccessGrant, DownloadGrant, LinkGrant, OtherGrant } from './tokens/grant.js';
export type { GrantedCollection, GrantedLink } from './tokens/grant.js';

// Access tokens, and where they are read
export { type CookieOptions, DownloadCookie } from './tokens/download-cookie.js';
export type { TokenClaims } from './tokens/compact-jws.js';
export type { KeyMaterial } from './tokens/key-material.js';
export type { KeyRingEntry, SecretOrKeyProvider } from './tokens/keys.js';
export type { AcceptOptions } from './tokens/token-options.js';
export type { TokenNameOptions, TransportOptions } from './tokens/transports.js';
export { redactUrl } from './http/redact-url.js';

// Links; TypeScript lets an application add to DownloadRoutes through `export *` only
export type * from './links/link.js';
export { DownloadLinks } from './links/download-links.js';
export type { LinkOptions } from './links/options.js';

// What links ask before they open
export { hashPassword, verifyPassword } from './prompts/password.js';
export type { Challenge, LinkPrompt, PromptOptions, PromptPage, PromptTexts } from './prompts/options.js';

// Delivery
export { Download } from './delivery/download.js';
export type {
  DownloadEnd,
  DownloadOptions,
  DownloadSource,
  FileDownloadOptions,
  ReadableDownloadOptions,
  RedirectDownloadOptions,
  SourceRange,
} from './delivery/download-options.js';
export type { DeliveryOptions } from './delivery/options.js';

// Counting the downloads of limited links, and the stores that keep the count
export type { LeaseUsage, LinkUsage } from './leases/link-usage.js';
export type { LeaseOptions } from './leases/options.js';
export { MemoryLeaseStore } from './leases/memory/memory.store.js';
export type { LeaseStore, LinkCommit, LinkQuery, LinkRecord, LinkState } from './leases/lease-store.js';
export type { RecordChange, RevocationListener } from './leases/lease-store.js';
export type { LinkRevocation, Revocation } from './leases/revocation.js';
export { RevocationPolling, type RevocationNews } from './leases/revocation-polling.js';

// What happened, and what was refused
export type { AbortedEvent, CompletedEvent, DownloadEvent, MintedEvent } from './events/download-event.js';
export type { OpenedEvent, RefusedEvent, ResumedEvent, RevokedEvent } from './events/download-event.js';
export type { StoreAvailableEvent, StoreUnavailableEvent } from './events/download-event.js';
export { DownloadEvents } from './events/download-events.js';
export type { LinkMessage } from './events/link-messages.js';
export { DownloadRefusal, type RefusalCode } from './refusals/download-refusal.js';

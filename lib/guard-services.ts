import type { DownloadEventSink } from './events/download-event.js';
import type { LinkOpener } from './links/open-link.js';
import type { AccessTokens } from './tokens/access-tokens.js';

/**
 * What the guard of one module instance works with; guards are made anew in every module that has downloads.
 */
export class GuardServices {
  constructor(
    readonly accessTokens: AccessTokens,
    readonly linkOpener: LinkOpener,
    readonly events: DownloadEventSink,
  ) {}
}

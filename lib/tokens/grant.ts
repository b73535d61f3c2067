import { createParamDecorator } from '@nestjs/common';
import type { ExecutionContext } from '@nestjs/common';
import type { Transport } from '../http/http-exchange.js';
import { RequestNote } from '../http/notes.js';
import type { DownloadRefusal } from '../refusals/download-refusal.js';
import type { TokenClaims } from './compact-jws.js';

/** The link of a grant, as a handler sees it. */
export interface GrantedLink {
  /** The link's `jti`. */
  readonly id: string;
  /** SHA-256 of what the link opens, base64url: route, method, decoded parameters. */
  readonly resource: string;
  /** For a link that may be reused, when the time for that began. */
  readonly issuedAt: Date;
  readonly expiresAt: Date;
  /** How many downloads the link allows, where that is limited. */
  readonly maxDownloads?: number;
  /** Seconds within which the link is made again, unchanged, where it may be reused. */
  readonly reuseWithin?: number;
  /** File name fixed by the link. */
  readonly filename?: string;
  /** Disposition fixed by the link. */
  readonly disposition?: 'attachment' | 'inline';
  /** For a link that opens a collection. */
  readonly collection?: GrantedCollection;
  /** Keyed digest of what the link depends on. */
  readonly state?: string;
}

/** What a link to a collection leaves open. */
export interface GrantedCollection {
  /** The names of the route parameters that may have any value, as the handler receives them. */
  readonly free: readonly string[];
  /** The path, as browsers see it, under which the companion cookie is sent. */
  readonly path: string;
  readonly exchange: 'cookie' | 'redirect';
}

/** Of a request with an access token. */
export interface AccessGrant {
  readonly kind: 'access';
  /** The `sub` of the token. */
  readonly subject?: string;
  readonly claims: TokenClaims;
  readonly transport: Transport;
  readonly link?: undefined;
}

/** Of a request with a link. */
export interface LinkGrant {
  readonly kind: 'link';
  /** The `subject` that the link was made for. */
  readonly subject?: string;
  readonly claims: TokenClaims;
  readonly transport: Transport;
  readonly link: GrantedLink;
}

/** Of a request that something else let in: a guard of the application, `auth: 'public'` or `auth: false`. */
export interface OtherGrant {
  readonly kind: 'other';
  /** What the option `subject` said. */
  readonly subject?: string;
  readonly claims?: undefined;
  readonly transport?: undefined;
  readonly link?: undefined;
}

/** What the guard established about a request. */
export type DownloadGrant = AccessGrant | LinkGrant | OtherGrant;

/** @internal */
export const grantNote = new RequestNote<DownloadGrant>('grant');

/**
 * Asks what else lets a request in whose companion cookie the handler refuses, because of its state.
 * @throws DownloadRefusal this refusal, where nothing does
 */
export const otherWayNote = new RequestNote<(refusal: DownloadRefusal) => Promise<DownloadGrant | undefined>>(
  'other way',
);

/** The grant of a request; `undefined` if it did not pass the guard of `@StreamDownload()`. */
export function grantOf(request: object): DownloadGrant | undefined {
  return grantNote.get(request);
}

/**
 * Injects the {@link DownloadGrant} of the request into a handler marked `@StreamDownload()`.
 *
 * @example
 * ```ts
 * @Get('files/:id') @StreamDownload()
 * download(@Param('id') id: string, @Grant() grant: DownloadGrant) {
 *   return this.files.openFor(grant.subject, id);
 * }
 * ```
 */
export const Grant = createParamDecorator((_data: unknown, context: ExecutionContext) =>
  grantOf(context.switchToHttp().getRequest<object>()),
);

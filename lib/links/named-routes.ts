import type { LinkTarget } from './link-target.js';
import type { RouteParams } from './route-template.js';

/**
 * The names of routes and their parameters, for `links.create('file', …)`. Empty, any name goes; declare
 * yours to have the compiler check them:
 *
 * @example
 * ```ts
 * declare module 'nestjs-download-auth' {
 *   interface DownloadRoutes {
 *     file: { id: string };
 *   }
 * }
 * ```
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- applications add its members
export interface DownloadRoutes {}

// eslint-disable-next-line @typescript-eslint/no-redundant-type-constituents -- not once members are added
export type RouteName = keyof DownloadRoutes extends never ? string : keyof DownloadRoutes & string;

type ParamsOf<Name> = Name extends keyof DownloadRoutes
  ? object extends DownloadRoutes[Name]
    ? { params?: DownloadRoutes[Name] }
    : { params: DownloadRoutes[Name] }
  : { params?: RouteParams };

/** The last argument of a call that names a route; it may be left out where the route has no parameters. */
export type OptionsOfRoute<Name, Options extends LinkTarget> =
  object extends ParamsOf<Name>
    ? [options?: Omit<Options, 'params'> & ParamsOf<Name>]
    : [options: Omit<Options, 'params'> & ParamsOf<Name>];

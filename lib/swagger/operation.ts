import type { OpenAPIObject } from '@nestjs/swagger';
import { isGuard } from '../application-guard.js';
import { resolveDelivery } from '../delivery/options.js';
import type { Route } from '../links/nest-routes.js';
import type { RefusalCode } from '../refusals/download-refusal.js';
import { REFUSALS } from '../refusals/refusals.js';
import type { RefusalDefinition } from '../refusals/refusals.js';
import type { ResolvedOptions } from '../resolve-options.js';
import { routeOptions } from '../route-options.js';
import type { RoutePolicy } from '../route-options.js';

export type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;
type Responses = Operation['responses'];
export type Response = Extract<Responses[string], { description: string }>;
type Headers = NonNullable<Response['headers']>;
type Content = NonNullable<Response['content']>;
type Schema = { format?: string };
type Security = NonNullable<Operation['security']>;

/** A route, and the options that hold for it. */
export interface DescribedDownload {
  readonly route: Route;
  readonly options: ResolvedOptions;
  readonly policy: RoutePolicy;
}

/** Adds to an operation, and to the components of its document, what is true of a download. */
export function describeOperation(
  document: OpenAPIObject,
  operation: Operation,
  { route, options, policy }: DescribedDownload,
): void {
  const isGet = route.method === 'GET';
  if (!route.answersItself) {
    const { ranges } = resolveDelivery(
      options.delivery,
      routeOptions(route.controller, route.handler).delivery,
    );
    describeFile(operation, isGet, ranges);
  }
  operation.responses = mergeResponses(operation.responses, refusalResponses(document, policy, options));
  if (policy.auth !== false) {
    operation.security = securityOf(document, operation, isGet, policy, options);
  }
}

function describeFile(operation: Operation, isGet: boolean, ranges: boolean): void {
  const { responses } = operation;
  // Nest puts one there, by the method or @HttpCode()
  const success = Object.keys(responses).find((status) => status.startsWith('2')) ?? '200';
  const said = responses[success] as Response | undefined;
  const content = fileContent(said?.content);
  responses[success] = { description: '', ...said, content };
  operation.responses = mergeResponses(responses, fileResponses(success, isGet, ranges, content));
  if (isGet) {
    addParameters(operation, ranges ? [...CONDITIONS, ...RANGES] : CONDITIONS);
  }
}

export function header(description: string, type = 'string'): Headers[string] {
  return { description, schema: { type } };
}

const FILE_HEADERS: Headers = {
  ETag: header('The version of the file, for If-None-Match and If-Range'),
  'Last-Modified': header('When the file was changed last'),
  'Content-Disposition': header('Whether to save or to show the file, and its name (RFC 6266)'),
  'Content-Length': header('Bytes of the body', 'integer'),
  'Accept-Ranges': header('`bytes` if parts of the file can be requested, `none` if not'),
  'Repr-Digest': header('Digests of the whole file, where the application knows them (RFC 9530)'),
};
const CONTENT_RANGE = 'Content-Range';

function fileResponses(success: string, isGet: boolean, ranges: boolean, content: Content): Responses {
  const whole = { description: 'The file', headers: FILE_HEADERS, content };
  if (!isGet) {
    return { [success]: whole };
  }
  const parts: Responses = {
    206: {
      description: 'The requested ranges of the file',
      headers: { ...FILE_HEADERS, [CONTENT_RANGE]: header('Where the part is, as `bytes 0-499/1234`') },
      content,
    },
    416: {
      description: 'The file has none of the requested ranges',
      headers: { [CONTENT_RANGE]: header('The length of the file, as `bytes */1234`') },
    },
  };
  return {
    [success]: whole,
    304: { description: 'The client has this version of the file', headers: { ETag: FILE_HEADERS.ETag! } },
    412: { description: 'The file is not the version that If-Match or If-Unmodified-Since asks for' },
    ...(ranges && parts),
  };
}

/**
 * Bytes of the media types that the application declares, or of any. Nest describes the class that a handler
 * returns as JSON.
 */
function fileContent(declared: Content = {}): Content {
  const bytes = { schema: { type: 'string', format: 'binary' } };
  const types = Object.entries(declared)
    .filter(
      ([type, { schema }]) =>
        type !== 'application/json' || (schema as Schema | undefined)?.format === 'binary',
    )
    .map(([type]) => type);
  return Object.fromEntries((types.length > 0 ? types : ['*/*']).map((type) => [type, bytes]));
}

const BODY = 'DownloadRefusal';

function refusalResponses(document: OpenAPIObject, policy: RoutePolicy, options: ResolvedOptions): Responses {
  const responses: Responses = {};
  const codes = (Object.keys(REFUSALS) as RefusalCode[]).filter((code) => mayRefuse(code, policy, options));
  for (const status of new Set(codes.map((code) => REFUSALS[code].status))) {
    const own = codes.filter((code) => REFUSALS[code].status === status);
    responses[status] = {
      description: own.map((code) => `- \`${code}\`: ${REFUSALS[code].message}`).join('\n'),
      headers: refusalHeaders(own),
      // with refusals: 'throw', filters of the application write the body
      ...(options.refusals === 'answer' && { content: { 'application/json': { schema: bodyWith(own) } } }),
    };
  }
  if (codes.length > 0 && options.refusals === 'answer') {
    (document.components ??= {}).schemas = { ...document.components.schemas, [BODY]: REFUSAL_SCHEMA };
  }
  return responses;
}

/** Whether a refusal can happen on a route; those about links need links. */
function mayRefuse(code: RefusalCode, policy: RoutePolicy, { linkKeys }: ResolvedOptions): boolean {
  const { auth, challenge, requireSecureConnection } = policy;
  if (code === 'INSECURE_CONNECTION') {
    return requireSecureConnection;
  }
  if (auth === false) {
    return false;
  }
  if (code === 'TOKEN_AMBIGUOUS' || code === 'ACCESS_DENIED') {
    return true;
  }
  if (code.startsWith('TOKEN_') || code === 'KEY_UNAVAILABLE') {
    return auth === 'token';
  }
  if (code === 'LINK_MISSING') {
    return auth === 'links';
  }
  return linkKeys.length > 0 && (!code.startsWith('CHALLENGE_') || challenge !== undefined);
}

const REFUSAL_SCHEMA = {
  type: 'object',
  properties: {
    statusCode: { type: 'integer' },
    message: { type: 'string', description: 'One sentence for a person' },
    error: { type: 'string', description: 'What the status code is called' },
    code: { type: 'string', description: 'Why the download was refused; stable' },
  },
  required: ['statusCode', 'message', 'error', 'code'],
};

function bodyWith(codes: readonly RefusalCode[]) {
  const code = { type: 'string', enum: [...codes] };
  return {
    allOf: [
      { $ref: `#/components/schemas/${BODY}` },
      { type: 'object', properties: { code }, required: ['code'] },
    ],
  };
}

function refusalHeaders(codes: readonly RefusalCode[]): Headers {
  const definitions: RefusalDefinition[] = codes.map((code) => REFUSALS[code]);
  return {
    ...(definitions.some(({ challenge }) => challenge) && {
      'WWW-Authenticate': header('A `Bearer` challenge (RFC 6750)'),
    }),
    ...(definitions.some(({ retryAfter }) => retryAfter) && {
      'Retry-After': header('Seconds to wait before the next attempt', 'integer'),
    }),
  };
}

/** What the application says of a response wins, but for Nest's empty descriptions. */
function mergeResponses(own: Responses, ours: Responses): Responses {
  const merged = { ...ours, ...own };
  for (const [status, response] of Object.entries(ours) as [string, Response][]) {
    const said = own[status];
    if (said && !('$ref' in said)) {
      const headers = { ...response.headers, ...said.headers };
      merged[status] = {
        ...response,
        ...said,
        description: said.description || response.description,
        headers,
      };
    }
  }
  return merged;
}

export type Parameter = Extract<NonNullable<Operation['parameters']>[number], { name: string }>;

function parameter(name: string, description: string): Parameter {
  return { name, in: 'header', required: false, description, schema: { type: 'string' } };
}

const CONDITIONS = [parameter('If-None-Match', 'Answer 304 if the file still has this ETag')];
export const RANGES = [
  parameter('Range', 'The part to send, such as `bytes=0-499` or `bytes=500-`'),
  parameter('If-Range', 'Send the part only if the file still has this ETag, and the whole file if not'),
];

function addParameters(operation: Operation, parameters: readonly Parameter[]): void {
  const own = operation.parameters ?? [];
  const names = new Set(own.map((one) => 'name' in one && one.name.toLowerCase()));
  operation.parameters = [...own, ...parameters.filter(({ name }) => !names.has(name.toLowerCase()))];
}

/**
 * The ways in, any of which is enough: those that the application declares, and the places where a token or a
 * link may stand.
 */
function securityOf(
  document: OpenAPIObject,
  operation: Operation,
  isGet: boolean,
  { auth, transports }: RoutePolicy,
  { tokenNames, linkKeys }: ResolvedOptions,
): Security {
  if (auth === 'public') {
    return operation.security ?? [];
  }
  const schemes = ((document.components ??= {}).securitySchemes ??= {});
  const ways: Security = [...(operation.security ?? document.security ?? [])];
  const add = (name: string, scheme: (typeof schemes)[string]) => {
    schemes[name] ??= scheme;
    ways.push({ [name]: [] });
  };
  const takesTokens = !isGuard(auth);
  if (takesTokens && transports.header && ways.length === 0) {
    add('bearer', { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' });
  }
  if (isGet && transports.query && (takesTokens || linkKeys.length > 0)) {
    const description = takesTokens && transports.query === true ? 'A token or a link' : 'A link';
    add(`${tokenNames.query}-query`, { type: 'apiKey', in: 'query', name: tokenNames.query, description });
  }
  if (isGet && takesTokens && transports.cookie) {
    add(`${tokenNames.cookie}-cookie`, { type: 'apiKey', in: 'cookie', name: tokenNames.cookie });
  }
  if (!isGet && transports.form) {
    const properties = { [tokenNames.form]: { type: 'string' } };
    const schema = { type: 'object', properties };
    operation.requestBody ??= { content: { 'application/x-www-form-urlencoded': { schema } } };
    ways.push({});
  }
  return ways;
}

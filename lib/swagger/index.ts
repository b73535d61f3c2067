import { RequestMethod } from '@nestjs/common';
import type { INestApplicationContext, Type } from '@nestjs/common';
import { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import type { OpenAPIObject } from '@nestjs/swagger';
import { DownloadAuthGuard } from '../download-auth.guard.js';
import { RouteRegistry } from '../links/route-registry.js';
import type { Route } from '../links/nest-routes.js';
import { ANSWER_FIELD } from '../prompts/page.js';
import { REFUSALS } from '../refusals/refusals.js';
import type { ResolvedOptions } from '../resolve-options.js';
import { routePolicy } from '../route-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { describeOperation, header, RANGES } from './operation.js';
import type { DescribedDownload, Operation, Parameter, Response } from './operation.js';

const METHODS = ['get', 'head', 'post', 'put', 'patch', 'delete', 'options'] as const;

/**
 * Completes what `SwaggerModule.createDocument()` says of routes with `@StreamDownload()`: the file and its
 * headers, ranges, refusals with their codes, and where a token may stand. What other decorators say stays as
 * it is.
 *
 * @returns the document that was given
 * @throws DownloadAuthConfigurationError where the application does not import `DownloadAuthModule`
 * @example
 * ```ts
 * const document = describeDownloads(app, SwaggerModule.createDocument(app, config));
 * SwaggerModule.setup('docs', app, document);
 * ```
 */
export function describeDownloads<Document extends OpenAPIObject>(
  app: INestApplicationContext,
  document: Document,
): Document {
  const prefix = app.get(ApplicationConfig).getGlobalPrefix();
  const downloads = downloadsOf(app);
  const find = (path: string, method: string) =>
    downloads.find(({ route }) => isServed(route, method, path)) ??
    // createDocument() leaves the prefix out where it is told to
    downloads.find(({ route }) => isServed(route, method, `${prefix}/${path}`));

  for (const [path, item] of Object.entries(document.paths)) {
    for (const method of METHODS) {
      const operation = item[method];
      const download = operation && find(path, method);
      if (download) {
        describeOperation(document, operation, download);
      }
    }
    const download = item.get && find(path, 'get');
    if (item.get && download) {
      item.head ??= headOperation(item.get);
      const answer = answerOperation(item.get, download);
      if (answer) {
        item.post ??= answer;
      }
    }
  }
  return document;
}

/** @throws DownloadAuthConfigurationError where the application does not import `DownloadAuthModule` */
function downloadsOf(app: INestApplicationContext): DescribedDownload[] {
  let registry: RouteRegistry;
  try {
    registry = app.get(RouteRegistry);
  } catch {
    throw new DownloadAuthConfigurationError(
      'describeDownloads: the application does not import DownloadAuthModule. Give the application that has the downloads.',
    );
  }
  return registry.list
    .filter((route) => route.options)
    .map((route) => {
      const options = optionsOf(app, route.controller);
      return { route, options, policy: routePolicy(options, route.controller, route.handler) };
    });
}

function isServed({ requestMethod, patterns }: Route, method: string, path: string): boolean {
  const isMethod =
    requestMethod === RequestMethod.ALL || RequestMethod[requestMethod] === method.toUpperCase();
  return isMethod && patterns.some((pattern) => shapeOf(pattern) === shapeOf(path));
}

/** A path with `{}` for its parameters: `:id`, `*path` and `{/:id}` to routers, `{id}` to OpenAPI. */
function shapeOf(path: string): string {
  return path
    .replace(/\{(\w+)\}/g, ':$1')
    .replace(/[{}]/g, '')
    .replace(/:\w+(?:\([^/]*\))?\??|\*\w*/g, '{}')
    .split('/')
    .filter(Boolean)
    .join('/');
}

/** The options that hold for a controller: those of the module that its guard comes from. */
function optionsOf(app: INestApplicationContext, controller: Type): ResolvedOptions {
  const modules = [...app.get(ModulesContainer).values()];
  const module = modules.find(({ controllers }) => controllers.has(controller));
  const guard = module?.injectables.get(DownloadAuthGuard)?.instance as DownloadAuthGuard;
  return guard.options;
}

/** HEAD answers as GET without a range does, and without a body. */
function headOperation(get: Operation): Operation {
  const responses = { ...get.responses };
  delete responses[206];
  delete responses[416];
  for (const [status, response] of Object.entries(responses) as [string, Response][]) {
    const { content: _content, ...rest } = response;
    responses[status] = rest;
  }
  return {
    ...get,
    operationId: get.operationId && `${get.operationId}_head`,
    parameters: get.parameters?.filter((one) => !RANGES.includes(one as Parameter)),
    responses,
  };
}

const ANSWERED: Response = {
  description: 'The answer is right: the same URL downloads for whoever sends the cookie',
  headers: {
    Location: header('Where the download is'),
    'Set-Cookie': header('Says that this client answered'),
  },
};

const REFUSING = new Set<number>(Object.values(REFUSALS).map(({ status }) => status));

/**
 * What a program sends to a link with a challenge: the answer, which the answer to it turns into a cookie.
 * Undefined where the route knows no challenge, or the URLs of links do not open it.
 */
function answerOperation(get: Operation, { options, policy }: DescribedDownload): Operation | undefined {
  const mayAsk =
    policy.auth !== false && policy.challenge && policy.transports.query && options.linkKeys.length > 0;
  if (!mayAsk) {
    return undefined;
  }
  const properties = { [ANSWER_FIELD]: { type: 'string' } };
  const schema = { type: 'object', properties, required: [ANSWER_FIELD] };
  const refusals = Object.entries(get.responses).filter(([status]) => REFUSING.has(Number(status)));
  return {
    tags: get.tags,
    operationId: get.operationId && `${get.operationId}_answer`,
    summary: 'Answer the challenge of a link',
    parameters: get.parameters?.filter((one) => 'in' in one && one.in === 'path'),
    requestBody: { required: true, content: { 'application/x-www-form-urlencoded': { schema } } },
    responses: { 303: ANSWERED, ...Object.fromEntries(refusals) },
    security: [{ [`${options.tokenNames.query}-query`]: [] }],
  };
}

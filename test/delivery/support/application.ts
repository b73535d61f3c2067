import {
  Controller,
  Get,
  Module,
  Post,
  Req,
  Res,
  StreamableFile,
  UseInterceptors,
  type CallHandler,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
} from '@nestjs/common';
import { HttpAdapterHost, NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { type AddressInfo } from 'node:net';
import { mergeMap } from 'rxjs';
import { deliver } from '../../../lib/delivery/deliver.js';
import { type DeliveryOverrides } from '../../../lib/delivery/delivery-headers.js';
import { resolveDelivery, type DeliveryOptions } from '../../../lib/delivery/delivery-options.js';
import { type DeliveryWatch } from '../../../lib/delivery/delivery-watch.js';
import { PreparedHeaders } from '../../../lib/delivery/prepared-headers.js';
import { ResponsePort } from '../../../lib/delivery/response-port.js';
import { Download } from '../../../lib/delivery/download.js';

export const ADAPTERS = ['express', 'fastify'] as const;
export type AdapterName = (typeof ADAPTERS)[number];

/** What the one route of the test application answers; replaced by every test. */
export interface Scenario {
  handler: (request: any, response: any) => unknown;
  options?: DeliveryOptions;
  overrides?: DeliveryOverrides;
  watch?: DeliveryWatch;
}

export interface TestApplication {
  readonly name: AdapterName;
  readonly app: INestApplication;
  readonly port: number;
  readonly url: string;
  serve(scenario: Scenario | Scenario['handler']): void;
  close(): Promise<void>;
}

/** Starts a real application on a free port of the loopback interface. */
export async function startApplication(
  name: AdapterName,
  configure: (app: INestApplication) => void | Promise<void> = () => {},
  serverOptions: { https?: { key: string; cert: string }; http2?: boolean } = {},
): Promise<TestApplication> {
  let scenario: Scenario = { handler: () => 'nothing to serve' };

  class DeliveryInterceptor implements NestInterceptor {
    constructor(private readonly host: HttpAdapterHost) {}

    intercept(context: ExecutionContext, next: CallHandler) {
      const http = context.switchToHttp();
      const { overrides, watch } = scenario;
      const options = resolveDelivery(scenario.options);
      const headers = new PreparedHeaders(new ResponsePort(this.host.httpAdapter, http.getResponse()), {
        options,
        declared: new Set(),
        answersItself: false,
      });
      return next.handle().pipe(
        mergeMap(async (result) =>
          result instanceof StreamableFile || result instanceof Download
            ? deliver(result, {
                request: http.getRequest(),
                headers,
                options,
                overrides,
                watch,
              })
            : result,
        ),
      );
    }
  }
  Reflect.defineMetadata('design:paramtypes', [HttpAdapterHost], DeliveryInterceptor);

  class FileController {
    file(request: unknown, response: unknown) {
      return scenario.handler(request, response);
    }
    form(request: unknown, response: unknown) {
      return scenario.handler(request, response);
    }
  }
  for (const [method, decorate] of [
    ['file', Get(':name')],
    ['form', Post(':name')],
  ] as const) {
    decorate(
      FileController.prototype,
      method,
      Object.getOwnPropertyDescriptor(FileController.prototype, method)!,
    );
    Req()(FileController.prototype, method, 0);
    Res({ passthrough: true })(FileController.prototype, method, 1);
  }
  UseInterceptors(DeliveryInterceptor)(FileController);
  Controller()(FileController);

  class TestModule {}
  Module({ controllers: [FileController] })(TestModule);

  const adapter =
    name === 'express'
      ? new ExpressAdapter()
      : new FastifyAdapter({ ...(serverOptions as object), exposeHeadRoutes: true } as any);
  const app = await NestFactory.create(TestModule, adapter as any, {
    logger: false,
    forceCloseConnections: true,
    ...(name === 'express' && serverOptions.https ? { httpsOptions: serverOptions.https } : {}),
  });
  await configure(app);
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as AddressInfo;
  return {
    name,
    app,
    port,
    url: `http${serverOptions.https ? 's' : ''}://127.0.0.1:${port}`,
    serve(next) {
      scenario = typeof next === 'function' ? { handler: next } : next;
    },
    close: () => app.close(),
  };
}

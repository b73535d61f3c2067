import { Controller, Get, Injectable, Post, Req, Res, StreamableFile, UseInterceptors } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { mergeMap } from 'rxjs';
import { deliver } from '../../../lib/delivery/deliver.js';
import { fileThread } from '../../../lib/delivery/file-thread.js';
import type { DeliveryOverrides } from '../../../lib/delivery/headers.js';
import { resolveDelivery } from '../../../lib/delivery/options.js';
import type { DeliveryOptions } from '../../../lib/delivery/options.js';
import type { DeliveryWatch } from '../../../lib/delivery/watch.js';
import { PreparedHeaders, RouteHeaders } from '../../../lib/delivery/prepared-headers.js';
import { ResponsePort } from '../../../lib/http/response-port.js';
import { Download } from '../../../lib/delivery/download.js';
import { startApp } from '../../support/test-app.js';
import type { AdapterName, TestApp, TestAppOptions } from '../../support/test-app.js';

/** What the one route of the test application answers; replaced by every test. */
export interface Scenario {
  handler: (request: any, response: any) => unknown;
  options?: DeliveryOptions;
  overrides?: DeliveryOverrides;
  watch?: DeliveryWatch;
}

export interface TestApplication extends TestApp {
  readonly name: AdapterName;
  serve(scenario: Scenario | Scenario['handler']): void;
}

/**
 * An application whose one route is delivered with a watch of the test, and without a guard. On Express files
 * are opened in the thread pool, on Fastify in the thread that a busy process has.
 */
export async function startApplication(
  name: AdapterName,
  configure?: TestAppOptions['configure'],
  setup: Pick<TestAppOptions, 'https' | 'fastify'> = {},
): Promise<TestApplication> {
  let scenario: Scenario = { handler: () => 'nothing to serve' };

  @Injectable()
  class DeliveryInterceptor implements NestInterceptor {
    intercept(context: ExecutionContext, next: CallHandler) {
      const http = context.switchToHttp();
      const { overrides, watch } = scenario;
      const options = resolveDelivery(scenario.options);
      const route = new RouteHeaders(options, new Set(), false);
      const headers = new PreparedHeaders(new ResponsePort(http.getResponse()), route);
      return next.handle().pipe(
        mergeMap(async (result) =>
          result instanceof StreamableFile || result instanceof Download
            ? deliver(result, {
                request: http.getRequest().raw ?? http.getRequest(),
                headers,
                overrides,
                watch,
              })
            : result,
        ),
      );
    }
  }

  @Controller()
  @UseInterceptors(DeliveryInterceptor)
  class FileController {
    @Get(':name')
    file(@Req() request: unknown, @Res({ passthrough: true }) response: unknown) {
      return scenario.handler(request, response);
    }

    @Post(':name')
    form(@Req() request: unknown, @Res({ passthrough: true }) response: unknown) {
      return scenario.handler(request, response);
    }
  }

  if (name === 'fastify') {
    await fileThread.start();
  } else {
    fileThread.stop();
  }
  const app = await startApp({
    adapter: name,
    controllers: [FileController],
    imports: [],
    configure,
    ...setup,
    fastify: { exposeHeadRoutes: true, ...setup.fastify },
  });
  return {
    ...app,
    name,
    serve(next) {
      scenario = typeof next === 'function' ? { handler: next } : next;
    },
  };
}

// What the process loads before its application (node --import): the real SDK, and the instrumentations that
// Nest people use. Environment: LIBRARY, the folder of the compiled library; OTEL, `old` or `newest`.
import { context, metrics, trace } from '@opentelemetry/api';
import { logs } from '@opentelemetry/api-logs';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { InMemoryLogRecordExporter, LoggerProvider, SimpleLogRecordProcessor } from '@opentelemetry/sdk-logs';
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import { createRequire, register } from 'node:module';

register('@opentelemetry/instrumentation/hook.mjs', import.meta.url);
const { LIBRARY, OTEL } = process.env;
const isOld = OTEL === 'old';

const require = createRequire(import.meta.url);
const known = new Set(Object.keys(require.cache));
const { TokenRedactor } = require(`${LIBRARY}/opentelemetry.js`);
const loaded = Object.keys(require.cache).filter((file) => !known.has(file));

const sdk = await import(isOld ? '@opentelemetry/sdk-trace-base' : '@opentelemetry/sdk-trace');
const TracerProvider = isOld ? sdk.BasicTracerProvider : sdk.TracerProvider;
const spans = new sdk.InMemorySpanExporter();
const written = [];
const recorder = {
  onStart() {},
  onEnding: (span) => void written.push(JSON.stringify(readable(span))),
  onEnd() {},
  forceFlush: async () => {},
  shutdown: async () => {},
};
const exporting = new sdk.SimpleSpanProcessor(isOld ? spans : { exporter: spans });
trace.setGlobalTracerProvider(
  new TracerProvider({ spanProcessors: [recorder, new TokenRedactor(), exporting] }),
);
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());

const reader = new (class extends MetricReader {
  onForceFlush() {}
  onShutdown() {}
})();
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));

const records = new InMemoryLogRecordExporter();
const processors = [new SimpleLogRecordProcessor({ exporter: records })];
logs.setGlobalLoggerProvider(new LoggerProvider({ processors }));

const headers = {
  requestHeaders: ['authorization', 'cookie', 'referer'],
  responseHeaders: ['set-cookie', 'location'],
};
const { HttpInstrumentation } = await import(isOld ? 'otel-http-old' : '@opentelemetry/instrumentation-http');
new HttpInstrumentation({ headersToSpanAttributes: { server: headers, client: headers } });
for (const [name, member, options] of [
  ['@opentelemetry/instrumentation-express', 'ExpressInstrumentation'],
  ['@fastify/otel', 'FastifyOtelInstrumentation', { registerOnInitialization: true }],
  ['@opentelemetry/instrumentation-nestjs-core', 'NestInstrumentation'],
  ['@opentelemetry/instrumentation-undici', 'UndiciInstrumentation', { headersToSpanAttributes: headers }],
  ['@opentelemetry/instrumentation-pino', 'PinoInstrumentation'],
]) {
  const { [member]: Instrumentation } = await import(name);
  new Instrumentation(options);
}

function readable({ name, attributes, events, links, status, instrumentationScope: { name: scope } }) {
  return { name, attributes, events, links, status, scope };
}

/** Everything that was recorded: spans as they were `written` and as they are exported, metrics, log records. */
globalThis.recorded = async () => ({
  loaded,
  written,
  spans: spans.getFinishedSpans().map((span) => JSON.stringify(readable(span))),
  metrics: JSON.stringify((await reader.collect()).resourceMetrics.scopeMetrics),
  logs: JSON.stringify(records.getFinishedLogRecords().map(({ body, attributes }) => ({ body, attributes }))),
});

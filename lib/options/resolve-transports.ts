import { DownloadAuthConfigurationError } from './configuration-error.js';
import type { TransportOptions } from './download-auth-options.js';
import { checkTypes } from './option-types.js';
import { refuseUnknown } from './unknown-option.js';

/** The transports of a route: its own choice where it made one, the module's otherwise. */
export function resolveTransports(
  transports: TransportOptions | undefined,
  defaults: Required<TransportOptions>,
): Required<TransportOptions> {
  refuseUnknown(transports, ['header', 'query', 'cookie', 'form'], 'transports');
  checkTypes(transports, { header: 'boolean', cookie: 'boolean', form: 'boolean' }, 'transports.');
  const resolved = {
    header: transports?.header ?? defaults.header,
    query: transports?.query ?? defaults.query,
    cookie: transports?.cookie ?? defaults.cookie,
    form: transports?.form ?? defaults.form,
  };
  if (!Object.values(resolved).some(Boolean)) {
    throw new DownloadAuthConfigurationError(
      'transports: all are switched off, so no request could ever carry a token. Leave one on.',
    );
  }
  if (typeof resolved.query !== 'boolean' && resolved.query !== 'links') {
    throw new DownloadAuthConfigurationError("transports.query: write true, false or 'links'.");
  }
  return resolved;
}

import type { LinkAsk } from '../prompts/options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import type { CreateLinkOptions } from './link.js';
import type { Route } from './route-registry.js';

/**
 * What a link asks for before it opens.
 * @throws DownloadAuthConfigurationError for options that contradict one another
 */
export function askOf({ confirm, challenge, reuseWithin }: CreateLinkOptions): LinkAsk | undefined {
  if (confirm && challenge) {
    throw new DownloadAuthConfigurationError(
      'confirm: a link with a challenge counts nothing before the right answer either. Leave confirm out.',
    );
  }
  if (!confirm && !challenge) {
    return undefined;
  }
  if (reuseWithin !== undefined) {
    throw new DownloadAuthConfigurationError(
      `reuseWithin: many people have the same link, so it has no ${challenge ? 'challenge' : 'confirm'}. ` +
        'Leave one of the two out.',
    );
  }
  if (challenge) {
    return 'challenge';
  }
  return confirm === 'browsers' ? 'browsers' : 'confirm';
}

/**
 * @param challenge the option of the module
 * @throws DownloadAuthConfigurationError where a route cannot ask what its link is to ask
 */
export function checkAsk(
  options: CreateLinkOptions,
  { label, method, hasChallenge }: Pick<Route, 'label' | 'method' | 'hasChallenge'>,
  challenge: unknown,
): void {
  const name = (['confirm', 'challenge'] as const).find((one) => options[one]);
  if (name && method !== 'GET') {
    throw new DownloadAuthConfigurationError(
      `${name}: ${label} is opened by a form of yours, which is where to ask. Leave ${name} out.`,
    );
  }
  if (options.challenge && hasChallenge === false && !challenge) {
    throw new DownloadAuthConfigurationError(
      'challenge: nothing says whether an answer is right. Write challenge: (answer, grant) => … in forRoot(), or in ' +
        `@StreamDownload() of ${label}.`,
    );
  }
}

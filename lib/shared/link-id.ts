import { DownloadAuthConfigurationError } from './configuration-error.js';

/** All ids of links are like this, so stores need not expect other characters, or long texts. */
const LINK_ID = /^[\w-]{1,100}$/;

/**
 * @param where names the function that was given the id
 * @throws DownloadAuthConfigurationError for what cannot be the id of a link
 */
export function checkLinkId(id: unknown, where: string): void {
  if (typeof id !== 'string' || !LINK_ID.test(id)) {
    throw new DownloadAuthConfigurationError(`${where}: give the link's id, as links.create() returned it.`);
  }
}

import { Logger } from '@nestjs/common';

/** Says once that access tokens arrive in the query string, where links would do. */
export class QueryWarning {
  private readonly logger = new Logger('DownloadAuth');
  private given = false;

  give(): void {
    if (this.given) return;
    this.given = true;
    this.logger.warn(
      "An access token arrived in the query string, where proxies log it and browsers remember it. Mint a link with DownloadLinks instead, and set transports: { query: 'links' } to refuse access tokens there.",
    );
  }
}

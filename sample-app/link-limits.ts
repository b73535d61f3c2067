import { BadRequestException, Catch, Injectable } from '@nestjs/common';
import type { ArgumentsHost, PipeTransform } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import { DownloadAuthConfigurationError } from 'nestjs-download-auth';
import type { CreateLinkOptions } from 'nestjs-download-auth';

/** What a caller may choose about a link. */
export interface LinkLimits extends Pick<CreateLinkOptions, 'expiresIn' | 'maxDownloads' | 'confirm'> {
  /** What the link asks for before it opens. */
  readonly password?: string;
}

/** Takes only these fields from the body: a caller must not choose the subject or claims of a link. */
@Injectable()
export class LinkLimitsPipe implements PipeTransform<unknown, LinkLimits> {
  transform(body: unknown): LinkLimits {
    const fields = body ?? {};
    const { expiresIn, maxDownloads, confirm, password, ...unknown } = fields as LinkLimits;
    if (typeof fields !== 'object' || Array.isArray(fields) || Object.keys(unknown).length > 0) {
      throw new BadRequestException(
        'Send a JSON object with expiresIn, maxDownloads, and confirm or password, or an empty one.',
      );
    }
    if (password !== undefined && (typeof password !== 'string' || password === '')) {
      throw new BadRequestException('password: send a string that is not empty, or leave it out.');
    }
    return { expiresIn, maxDownloads, confirm, password };
  }
}

/** The package checks the values. Since the caller chose them, a mistake is answered with 400. */
@Catch(DownloadAuthConfigurationError)
export class BadLimitsFilter extends BaseExceptionFilter {
  override catch({ message }: DownloadAuthConfigurationError, host: ArgumentsHost): void {
    super.catch(new BadRequestException(message), host);
  }
}

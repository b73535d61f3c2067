import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { IncomingHttpHeaders } from 'node:http';

/** Who is signed in, as the bearer guard found out. */
export interface SessionInfo {
  readonly username: string;
  readonly accessToken: string;
  readonly expiresAt: Date;
}

export interface RequestWithSession {
  readonly headers: IncomingHttpHeaders;
  session?: SessionInfo;
}

/** Injects the {@link SessionInfo} into a handler behind the bearer guard. */
export const Session = createParamDecorator(
  (_data: unknown, context: ExecutionContext) =>
    context.switchToHttp().getRequest<RequestWithSession>().session,
);

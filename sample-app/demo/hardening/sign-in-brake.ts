import { HttpException } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { RateLimiterRes } from 'rate-limiter-flexible';
import { tap } from 'rxjs';
import type { Observable } from 'rxjs';
import { AuthController } from '../../auth.controller.js';

/** Wrong passwords that one address may try in a minute. */
const FAILURES_A_MINUTE = 10;

/** Limits failed attempts to sign in, by client address. */
export class SignInBrake implements NestInterceptor {
  private readonly failures = new RateLimiterMemory({ points: FAILURES_A_MINUTE, duration: 60 });

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    if (context.getClass() !== AuthController || context.getHandler().name !== 'login') {
      return next.handle();
    }
    const http = context.switchToHttp();
    const { ip } = http.getRequest<{ ip: string }>();
    // Charged before the password is checked; otherwise many attempts at once would all get through.
    await this.failures.consume(ip).catch(({ msBeforeNext }: RateLimiterRes) => {
      http
        .getResponse<{ header(name: string, value: string): unknown }>()
        .header('Retry-After', String(Math.ceil(msBeforeNext / 1000)));
      throw new HttpException('Too many failed attempts to sign in. Try again in a minute.', 429);
    });
    const refund = () => void this.failures.reward(ip);
    return next.handle().pipe(
      tap({
        next: refund,
        error: (error: HttpException) => {
          if (error.getStatus?.() === 400) {
            refund();
          }
        },
      }),
    );
  }
}

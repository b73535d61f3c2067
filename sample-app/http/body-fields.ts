import { BadRequestException } from '@nestjs/common';

/**
 * The fields of a request's body; none where there is no body.
 * @throws BadRequestException for a body that is no object, or has a field that nobody asked for
 */
export function bodyFields<Name extends string>(
  body: unknown,
  names: readonly Name[],
): Partial<Record<Name, unknown>> {
  if (body === undefined || body === null) return {};
  if (typeof body !== 'object' || Array.isArray(body)) {
    throw new BadRequestException(`Send a JSON object with ${names.join(', ')}.`);
  }
  const unknown = Object.keys(body).find((name) => !(names as readonly string[]).includes(name));
  if (unknown !== undefined) {
    throw new BadRequestException(`Unknown field ${JSON.stringify(unknown)}. Known: ${names.join(', ')}.`);
  }
  return body;
}

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'];

/** `134 MB`: three digits and decimal units, as in a browser's list of downloads. */
export function formatBytes(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${UNITS[unit]}`;
}

/** `0:09`, `12:30`, `5:00:00`, `3 d 4 h`: a remaining time given in milliseconds. */
export function formatRemaining(milliseconds) {
  // Rounded up, so zero appears at the end and not a second before.
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const two = (number) => String(number).padStart(2, '0');
  if (hours >= 48) {
    return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  }
  if (hours > 0) {
    return `${hours}:${two(minutes % 60)}:${two(seconds % 60)}`;
  }
  return `${minutes}:${two(seconds % 60)}`;
}

/** `14:03:09`: the local time, given in milliseconds since 1970. */
export function formatTime(moment) {
  return new Date(moment).toLocaleTimeString('en-GB');
}

/** `43 %`: below 100 until it is complete. */
export function formatShare(part, whole) {
  return `${part >= whole ? 100 : Math.min(99, Math.floor((100 * part) / whole))} %`;
}

/** The extension of a file name, at most four letters. */
export function kindOf(name) {
  const dot = name.lastIndexOf('.');
  return dot > 0 ? name.slice(dot + 1, dot + 5) : 'file';
}

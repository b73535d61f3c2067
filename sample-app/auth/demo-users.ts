/** Who may sign in. A real application has a table of users and hashed passwords. */
export const DEMO_USERS: ReadonlyMap<string, string> = new Map([
  ['ada', 'demo'],
  ['grace', 'demo'],
]);

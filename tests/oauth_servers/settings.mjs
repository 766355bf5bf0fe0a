// What the test gives a server: its port, its issuer, the life of its tokens, and its clients.
export const settings = JSON.parse(process.env.OAUTH_SERVER);

export function started() {
  console.log('(listening)');
}

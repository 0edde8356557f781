/**
 * The program inside the box of samba.ts: starts the server given as its arguments, which listens on fixed ports, and
 * forwards connections to them from listeners outside the box. It receives the listeners from its parent, and ends with
 * it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** The address of the server inside the box. */
const ADDRESS = '127.0.0.2';
const PORTS = [389, 636];

process.on('disconnect', () => process.exit());
process.on('message', (port: number, listener: Server) => {
  listener.on('connection', (near) => {
    const far = connect({ port, host: ADDRESS, noDelay: true });
    near.setNoDelay().pipe(far).pipe(near);
    near.on('error', () => {}).on('close', () => far.destroy());
    far.on('error', () => {}).on('close', () => near.destroy());
  });
});

const [program, ...options] = process.argv.slice(2);
const server = spawn(program!, options, {
  env: { ...process.env, LD_LIBRARY_PATH: process.env.BOX_LIBRARIES },
  stdio: ['ignore', 'inherit', 'inherit'],
});
server.on('exit', () => process.exit(1));
for (const port of PORTS) {
  for (;;) {
    const socket = connect(port, ADDRESS);
    const listens = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (listens) break;
    await sleep(25);
  }
}
process.send!('ready');

/** Holds the requests of a client against AWS's service models, where the server behind it does not do so. */
import { findFault, type SentRequest, type ServiceName } from '../../local/service-model.ts';

interface Client {
  readonly middlewareStack: {
    add(
      middleware: (next: (args: never) => unknown) => (args: never) => unknown,
      options: { readonly step: 'build'; readonly name: string },
    ): void;
  };
}

/** The same client. A request that AWS would refuse throws, and is not sent. */
export function demandValidRequests<C extends object>(service: ServiceName, client: C): C {
  (client as Client).middlewareStack.add(
    (next) => (args: { readonly request: SentRequest & { readonly path: string; readonly body: string } }) => {
      const { method, path, headers, body } = args.request;
      const fault = findFault(service, { method, url: path, headers, body: Buffer.from(body ?? '') });
      if (fault !== null) throw new Error(`AWS would refuse this request: ${fault.type}: ${fault.message}`);
      return next(args as never);
    },
    { step: 'build', name: 'demandValidRequests' },
  );
  return client;
}

/**
 * `npm run models -- FOLDER`: makes service-models.json from AWS's own service models, as botocore carries them. Keeps
 * the operations that the product uses and what their requests must look like; knows nothing of answers.
 * @see https://github.com/boto/botocore/tree/develop/botocore/data (Apache-2.0)
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Operation, ServiceModel, ServiceName, Shape } from './service-model.ts';

/** A model's folder in botocore, and the operations to keep. */
const KEPT: Readonly<Record<ServiceName, { readonly folder: string; readonly operations: readonly string[] }>> = {
  dynamodb: {
    folder: 'dynamodb/2012-08-10',
    operations: [
      'BatchExecuteStatement',
      'BatchGetItem',
      'BatchWriteItem',
      'CreateTable',
      'DeleteItem',
      'DescribeTable',
      'DescribeTimeToLive',
      'GetItem',
      'PutItem',
      'Query',
      'Scan',
      'TransactGetItems',
      'TransactWriteItems',
      'UpdateItem',
      'UpdateTable',
      'UpdateTimeToLive',
    ],
  },
  events: { folder: 'events/2015-10-07', operations: ['PutEvents'] },
  lambda: { folder: 'lambda/2015-03-31', operations: ['Invoke'] },
  scheduler: {
    folder: 'scheduler/2021-06-30',
    operations: ['CreateSchedule', 'CreateScheduleGroup', 'DeleteSchedule', 'GetSchedule', 'UpdateSchedule'],
  },
  secretsmanager: {
    folder: 'secretsmanager/2017-10-17',
    operations: ['CreateSecret', 'DescribeSecret', 'GetSecretValue', 'PutSecretValue', 'UpdateSecretVersionStage'],
  },
};

interface Reference {
  readonly shape: string;
  readonly location?: string;
  readonly locationName?: string;
}

interface SourceShape {
  readonly type: string;
  readonly members?: Readonly<Record<string, Reference>>;
  readonly member?: Reference;
  readonly key?: Reference;
  readonly value?: Reference;
  readonly [constraint: string]: unknown;
}

interface Source {
  readonly metadata: { readonly protocol: string; readonly targetPrefix?: string };
  readonly operations: Readonly<
    Record<
      string,
      { readonly http: { readonly method: string; readonly requestUri: string }; readonly input: Reference }
    >
  >;
  readonly shapes: Readonly<Record<string, SourceShape>>;
}

const CONSTRAINTS = ['required', 'min', 'max', 'pattern', 'enum', 'payload'];

/** `folder`: botocore's, such as /usr/lib/python3/dist-packages/botocore of Debian's python3-botocore. */
function trimModels(folder: string): string {
  const version = /__version__ = '([\d.]+)'/u.exec(readFileSync(path.join(folder, '__init__.py'), 'utf8'))?.[1];
  if (version === undefined) throw new Error(`${folder} is not the folder of botocore`);
  const services = Object.entries(KEPT).map(([name, kept]) => {
    const file = path.join(folder, 'data', kept.folder, 'service-2.json.gz');
    return [name, trim(JSON.parse(gunzipSync(readFileSync(file)).toString('utf8')) as Source, kept.operations)];
  });
  return write({
    origin: `botocore ${version}, data/*/service-2.json.gz, shortened by local/trim-service-models.ts`,
    licence: 'Apache-2.0, Copyright 2012-2022 Amazon.com, Inc. or its affiliates. All Rights Reserved.',
    services: Object.fromEntries(services) as Record<ServiceName, ServiceModel>,
  });
}

function trim({ metadata, operations, shapes }: Source, names: readonly string[]): ServiceModel {
  const kept: Record<string, Shape> = {};
  function keep(name: string): void {
    if (name in kept) return;
    const { type, members, member, key, value, ...others } = shapes[name]!;
    const constraints = Object.entries(others).filter(([each]) => CONSTRAINTS.includes(each));
    kept[name] = {
      type,
      ...(Object.fromEntries(constraints) as Partial<Shape>),
      ...(members && {
        members: Object.fromEntries(
          Object.entries(members).map(([each, { shape, location, locationName }]) => [
            each,
            { shape, ...(location && { location }), ...(locationName && { locationName }) },
          ]),
        ),
      }),
      ...((member ?? value) && { of: (member ?? value)!.shape }),
      ...(key && { key: key.shape }),
    } as Shape;
    for (const { shape } of [...Object.values(members ?? {}), member, key, value].filter(
      (each) => each !== undefined,
    )) {
      keep(shape);
    }
  }
  const inputs = names.map((name): [string, Operation] => {
    const { http, input } = operations[name]!;
    keep(input.shape);
    return [name, { method: http.method, uri: http.requestUri, input: input.shape }];
  });
  return {
    ...(metadata.targetPrefix !== undefined && { targetPrefix: metadata.targetPrefix }),
    operations: Object.fromEntries(inputs),
    shapes: kept,
  };
}

/** JSON with a line for each operation and shape, so that a newer model shows as a readable difference. */
function write({
  services,
  ...about
}: {
  readonly origin: string;
  readonly licence: string;
  readonly services: Readonly<Record<ServiceName, ServiceModel>>;
}): string {
  const lines = (entries: object): string =>
    Object.entries(entries)
      .map(([name, each]) => `        ${JSON.stringify(name)}: ${JSON.stringify(each)}`)
      .join(',\n');
  const models = Object.entries(services).map(([name, { operations, shapes, ...model }]) =>
    [
      `    ${JSON.stringify(name)}: {`,
      ...Object.entries(model).map(([key, value]) => `      ${JSON.stringify(key)}: ${JSON.stringify(value)},`),
      `      "operations": {\n${lines(operations)}\n      },`,
      `      "shapes": {\n${lines(shapes)}\n      }\n    }`,
    ].join('\n'),
  );
  const head = Object.entries(about).map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)},`);
  return `{\n${head.join('\n')}\n  "services": {\n${models.join(',\n')}\n  }\n}\n`;
}

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  console.error('usage: npm run models -- FOLDER    (the folder of botocore, such as .../dist-packages/botocore)');
  process.exit(2);
}
writeFileSync(path.join(import.meta.dirname, 'service-models.json'), trimModels(folder));

/**
 * What a request to DynamoDB asks of IAM: its actions, resources and condition keys. Knows the tables' keys and no
 * policies.
 *
 * Actions and resources, each from the table "API operations" or "Actions" of
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html:
 * - BatchGetItem and BatchWriteItem are actions of their own, for each table.
 * - A transaction needs the action of each of its parts, such as PutItem or ConditionCheckItem:
 *   https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
 * - A PartiQL statement needs `dynamodb:PartiQLInsert` and the like:
 *   https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-iam.html
 * - A query of an index works on the index: its ARN, and its partition key as the leading key.
 *
 * Condition keys, from https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html:
 * - `dynamodb:LeadingKeys`: the partition keys that the request names. A scan has none. That page does not speak of
 *   PartiQL; the reference lists the key for its actions. Unverified: a PartiQL statement is taken to have the value
 *   that it gives to the partition key.
 * - `dynamodb:Attributes`: the attributes that are written, read by name, or tested by an expression, with those of
 *   the key. A read without a projection names none. Unverified: each key attribute counts once, also in an update.
 * - `dynamodb:Select`: the parameter, or what DynamoDB takes in its place. Unverified for GetItem and BatchGetItem.
 * - `dynamodb:ReturnValues`: the parameter; absent if the request has none.
 * - `dynamodb:EnclosingOperation`: the name of the transaction (transaction-apis-iam.html). Unverified: its absence
 *   outside of transactions.
 */
import type { Call, RequestContext } from './policy-language.ts';
import { LOCAL_ACCOUNT, LOCAL_REGION, type TableDefinition } from './template.ts';

/** Reads a request; null if its form is unknown here, so that nobody can say what it needs. */
export type ReadRequest = (operation: string, input: unknown) => readonly Call[] | null;

type Values = Readonly<Record<string, { readonly S?: string; readonly N?: string; readonly B?: string }>>;

/** The parameters of an operation on one item, a query or a scan, as far as IAM sees them. */
interface Operation {
  readonly TableName: string;
  readonly IndexName?: string;
  readonly Item?: Values;
  readonly Key?: Values;
  readonly UpdateExpression?: string;
  readonly ConditionExpression?: string;
  readonly FilterExpression?: string;
  readonly KeyConditionExpression?: string;
  readonly ProjectionExpression?: string;
  readonly ExpressionAttributeNames?: Readonly<Record<string, string>>;
  readonly ExpressionAttributeValues?: Values;
  readonly Select?: string;
  readonly ReturnValues?: string;
}

interface Parameters {
  readonly RequestItems: Readonly<Record<string, unknown>>;
  readonly TransactItems: readonly Readonly<Record<string, Operation>>[];
  readonly Statements: readonly StatementInput[];
}

interface StatementInput {
  readonly Statement: string;
  readonly Parameters?: readonly Values[string][];
}

interface KeysOfTable {
  readonly Keys: readonly Values[];
  readonly ProjectionExpression?: string;
  readonly ExpressionAttributeNames?: Readonly<Record<string, string>>;
}

interface WriteRequest {
  readonly PutRequest?: { readonly Item: Values };
  readonly DeleteRequest?: { readonly Key: Values };
}

const TRANSACTION_ACTIONS: Readonly<Record<string, string>> = {
  ConditionCheck: 'ConditionCheckItem',
  Delete: 'DeleteItem',
  Get: 'GetItem',
  Put: 'PutItem',
  Update: 'UpdateItem',
};
const READS: ReadonlySet<string> = new Set(['GetItem', 'Query', 'Scan']);
const WORDS: ReadonlySet<string> = new Set(['SET', 'REMOVE', 'ADD', 'DELETE', 'AND', 'OR', 'NOT', 'IN', 'BETWEEN']);
// Attributes at the top level: not part of a path, not a value, not a function.
const ATTRIBUTE = /(?<![\w.:#])(?:#\w+|[A-Za-z_]\w*)(?![\w(])(?!\s*\()/gu;
const INSERT = /^\s*INSERT\s+INTO\s+"([\w.-]+)"\s+VALUE\s*\{(.*)\}\s*$/isu;
const DELETE = /^\s*DELETE\s+FROM\s+"([\w.-]+)"\s+WHERE\s+(.*)$/isu;

/** The ARN of a table on this machine. */
export function tableArn(table: string): string {
  return `arn:aws:dynamodb:${LOCAL_REGION}:${LOCAL_ACCOUNT}:table/${table}`;
}

/** The reader of requests to these tables. */
export function createDynamoDbReader(tables: readonly Pick<TableDefinition, 'create'>[]): ReadRequest {
  /** The partition key of each table, and of each index as `table/index`. */
  const partitionKeys = new Map<string, string>();
  for (const { create } of tables) {
    const add = (name: string, schema: (typeof create)['KeySchema']): void => {
      partitionKeys.set(name, schema!.find(({ KeyType }) => KeyType === 'HASH')!.AttributeName!);
    };
    add(create.TableName!, create.KeySchema);
    for (const { IndexName, KeySchema } of create.GlobalSecondaryIndexes ?? []) {
      add(`${create.TableName}/${IndexName}`, KeySchema);
    }
  }

  function toCall(action: string, input: Operation, enclosing?: string): Call {
    const { TableName, IndexName, Item, Key, Select, ReturnValues } = input;
    const keyName = partitionKeys.get(IndexName === undefined ? TableName : `${TableName}/${IndexName}`) ?? '';
    const leading = textOf((Item ?? Key)?.[keyName]) ?? queriedKey(input, keyName);
    const select = READS.has(action) ? (Select ?? defaultSelect(input)) : undefined;
    return {
      action: `dynamodb:${action}`,
      resource: IndexName === undefined ? tableArn(TableName) : `${tableArn(TableName)}/index/${IndexName}`,
      context: contextOf({
        'dynamodb:LeadingKeys': leading === undefined ? [] : [leading],
        'dynamodb:Attributes': attributesOf(input, READS.has(action)),
        'dynamodb:Select': select === undefined ? [] : [select],
        'dynamodb:ReturnValues': ReturnValues === undefined ? [] : [ReturnValues],
        'dynamodb:EnclosingOperation': enclosing === undefined ? [] : [enclosing],
      }),
    };
  }

  function batchGet(table: string, input: KeysOfTable): Call {
    const { Keys, ...others } = input;
    const call = toCall('GetItem', { TableName: table, Key: Keys[0]!, ...others });
    return {
      ...call,
      action: 'dynamodb:BatchGetItem',
      context: { ...call.context, 'dynamodb:LeadingKeys': leadingKeys(table, Keys) },
    };
  }

  function batchWrite(table: string, requests: readonly WriteRequest[]): Call {
    const items = requests.map(({ PutRequest, DeleteRequest }) => PutRequest?.Item ?? DeleteRequest?.Key ?? {});
    return {
      action: 'dynamodb:BatchWriteItem',
      resource: tableArn(table),
      context: contextOf({
        'dynamodb:LeadingKeys': leadingKeys(table, items),
        'dynamodb:Attributes': unique(items.flatMap((item) => Object.keys(item))),
      }),
    };
  }

  function leadingKeys(table: string, items: readonly Values[]): string[] {
    const keyName = partitionKeys.get(table) ?? '';
    return unique(items.flatMap((item) => textOf(item[keyName]) ?? []));
  }

  function statementCall({ Statement, Parameters = [] }: StatementInput): Call | null {
    const [insert, remove] = [INSERT.exec(Statement), DELETE.exec(Statement)];
    const [, table = '', body = ''] = insert ?? remove ?? [];
    // 'name': ? in an INSERT, "name" <operator> ? in a condition; every value must be a parameter.
    const named = [...body.matchAll(/["'](\w+)["']\s*(?::|=|<=|>=|<|>|<>)\s*\?/gu)].map(([, name]) => name!);
    const isPlain = named.length > 0 && named.length === Parameters.length && !/\b(?:OR|NOT|IN)\b/iu.test(body);
    if (!isPlain) return null;
    const leading = textOf(Parameters[named.indexOf(partitionKeys.get(table) ?? '')]);
    return {
      action: insert ? 'dynamodb:PartiQLInsert' : 'dynamodb:PartiQLDelete',
      resource: tableArn(table),
      context: contextOf({
        'dynamodb:LeadingKeys': leading === undefined ? [] : [leading],
        'dynamodb:Attributes': unique(named),
      }),
    };
  }

  return (operation, input) => {
    const { RequestItems, TransactItems, Statements } = input as Parameters;
    switch (operation) {
      case 'GetItem':
      case 'PutItem':
      case 'UpdateItem':
      case 'DeleteItem':
      case 'Query':
      case 'Scan':
        return [toCall(operation, input as Operation)];
      case 'BatchGetItem':
        return Object.entries(RequestItems).map(([table, keys]) => batchGet(table, keys as KeysOfTable));
      case 'BatchWriteItem':
        return Object.entries(RequestItems).map(([table, items]) => batchWrite(table, items as WriteRequest[]));
      case 'TransactGetItems':
      case 'TransactWriteItems':
        return TransactItems.flatMap((item) =>
          Object.entries(item).map(([kind, part]) => toCall(TRANSACTION_ACTIONS[kind] ?? kind, part, operation)),
        );
      case 'BatchExecuteStatement': {
        const calls = Statements.map(statementCall);
        return calls.every((call) => call !== null) ? calls : null;
      }
      default:
        return null;
    }
  };
}

/** The value that a query demands of the partition key. */
function queriedKey(input: Operation, keyName: string): string | undefined {
  const { KeyConditionExpression = '', ExpressionAttributeNames = {}, ExpressionAttributeValues = {} } = input;
  const demands = KeyConditionExpression.matchAll(/(#?\w+)\s*=\s*(:\w+)/gu);
  const demand = [...demands].find(([, name]) => (ExpressionAttributeNames[name!] ?? name) === keyName);
  return textOf(ExpressionAttributeValues[demand?.[2] ?? '']);
}

function attributesOf(input: Operation, isRead: boolean): string[] {
  const { Item = {}, Key = {}, ExpressionAttributeNames = {} } = input;
  const expressions = [
    input.UpdateExpression,
    input.ConditionExpression,
    input.FilterExpression,
    input.KeyConditionExpression,
    input.ProjectionExpression,
  ];
  const named = expressions.flatMap((expression = '') =>
    [...expression.matchAll(ATTRIBUTE)].map(([name]) => name).filter((name) => !WORDS.has(name.toUpperCase())),
  );
  // A read of whole items names no attribute.
  if (isRead && named.length === 0) return [];
  return unique([
    ...Object.keys(Item),
    ...Object.keys(Key),
    ...named.map((name) => ExpressionAttributeNames[name] ?? name),
  ]);
}

function defaultSelect({ ProjectionExpression, IndexName }: Operation): string {
  if (ProjectionExpression !== undefined) return 'SPECIFIC_ATTRIBUTES';
  return IndexName === undefined ? 'ALL_ATTRIBUTES' : 'ALL_PROJECTED_ATTRIBUTES';
}

/** The context without the keys that have no value. */
function contextOf(keys: RequestContext): RequestContext {
  return Object.fromEntries(Object.entries(keys).filter(([, values]) => values.length > 0));
}

function textOf(value: Values[string] | undefined): string | undefined {
  return value?.S ?? value?.N ?? value?.B;
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)].toSorted();
}

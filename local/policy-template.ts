/**
 * Reads all policies of a synthesized template: those of its roles, and those of the resources that have their own.
 * Knows no requests.
 */
import { readStatements, type Statement } from './policy-language.ts';
import { secretArn } from './policy-services.ts';
import type { ResolvedResource } from './template.ts';

/** The policies of a stack. */
export interface StackPolicies {
  /** What each role may do, by the role's name. */
  readonly roles: ReadonlyMap<string, readonly Statement[]>;
  /** Whom a resource lets in, by its ARN: who assumes a role, invokes a function, sends to a queue. */
  readonly resources: ReadonlyMap<string, readonly Statement[]>;
}

/**
 * The policies among these resources.
 * @throws Error that names what a policy uses that the evaluation does not know
 */
export function readPolicies(resources: readonly ResolvedResource[]): StackPolicies {
  const roles = new Map<string, Statement[]>();
  const own = new Map<string, Statement[]>();
  const secrets = new Set(
    resources.filter(({ type }) => type === 'AWS::SecretsManager::Secret').map(({ name }) => name),
  );
  const arns = new Map(resources.map(({ name, arn }) => [name, arn]));
  // A reference to a secret is its ARN on AWS; here it is the name, which the secret's stand-in takes as well.
  const read = (document: unknown, place: string): Statement[] =>
    readStatements(document, place).map((statement) => ({
      ...statement,
      resources: statement.resources?.map((name) => (secrets.has(name) ? secretArn(name) : name)) ?? null,
    }));
  const add = (map: Map<string, Statement[]>, key: string, statements: readonly Statement[]): void => {
    map.set(key, [...(map.get(key) ?? []), ...statements]);
  };

  for (const { type, name, arn, properties } of resources) {
    switch (type) {
      case 'AWS::IAM::Role':
        add(roles, name, []);
        add(own, arn, read(properties.AssumeRolePolicyDocument, name));
        break;
      case 'AWS::IAM::Policy':
        for (const role of properties.Roles as string[]) add(roles, role, read(properties.PolicyDocument, name));
        break;
      case 'AWS::SQS::QueuePolicy':
        for (const queue of properties.Queues as string[]) {
          add(own, arns.get(queue)!, read(properties.PolicyDocument, name));
        }
        break;
      case 'AWS::Lambda::Permission':
        add(own, properties.FunctionName as string, [toStatement(properties)]);
        break;
      default:
    }
  }
  return { roles, resources: own };
}

/** @see https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html */
function toStatement({ Action, Principal, FunctionName, SourceArn, SourceAccount }: ResolvedResource['properties']) {
  return readStatements(
    {
      Statement: {
        Effect: 'Allow',
        Principal,
        Action,
        Resource: FunctionName,
        Condition: {
          ...(SourceArn !== undefined && { ArnLike: { 'aws:SourceArn': SourceArn } }),
          ...(SourceAccount !== undefined && { StringEquals: { 'aws:SourceAccount': SourceAccount } }),
        },
      },
    },
    `of ${String(FunctionName)}`,
  )[0]!;
}

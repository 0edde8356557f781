/**
 * The pages: the function that serves them, the files it serves, and their addresses. It may write its log and nothing
 * else, and is in no VPC: there is nothing that it has to reach.
 */
import { Validations } from 'aws-cdk-lib';
import { HttpMethod, PayloadFormatVersion } from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import { Construct } from 'constructs';
import type { Api } from './api.ts';
import { ProductFunction, type FunctionDefaults } from './function.ts';

export interface ConsoleProps {
  readonly defaults: FunctionDefaults;
  readonly api: Api;
}

// Swagger UI loads nothing from elsewhere and works under the strictest policy. Redoc 3 reports its use and asks a CDN for its
// logo; Redoc 2 asks it too, and brings more than a hundred packages along.
const RENDERER = 'node_modules/swagger-ui-dist';

export class Console extends Construct {
  readonly handler: ProductFunction;

  constructor(scope: Construct, id: string, { defaults, api }: ConsoleProps) {
    super(scope, id);
    this.handler = new ProductFunction(this, 'Function', {
      defaults: { ...defaults, network: undefined },
      entry: 'console.ts',
      description: 'Rollcall: serves the web pages.',
      environment: {},
      assets: {
        'docs/index.html': 'console/docs/index.html',
        'docs/page.css': 'console/docs/page.css',
        'docs/page.js': 'console/docs/page.js',
        'docs/swagger-ui.css': `${RENDERER}/swagger-ui.css`,
        'docs/swagger-ui-bundle.js': `${RENDERER}/swagger-ui-bundle.js`,
        // The script names it for the licenses of what is in it.
        'docs/swagger-ui-bundle.js.LICENSE.txt': `${RENDERER}/swagger-ui-bundle.js.LICENSE.txt`,
      },
    });

    const integration = new HttpLambdaIntegration('Integration', this.handler, {
      payloadFormatVersion: PayloadFormatVersion.VERSION_2_0,
    });
    const routes = ['/api/docs', '/api/docs/{file}'].flatMap((path) =>
      api.httpApi.addRoutes({ path, methods: [HttpMethod.ANY], integration }),
    );
    for (const route of routes) {
      Validations.of(route).acknowledge({
        id: 'AwsSolutions-APIG4',
        reason: 'The pages are public: they hold no data of the deployment, and the API checks every call they make.',
      });
    }
  }
}

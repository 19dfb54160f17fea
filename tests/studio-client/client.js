// A studio backend's view of the orchestrator: plain @grpc/grpc-js with the proto files of this
// repository. Run by the Rust test `studio`, which starts the stack and sets GRPC_ADDRESS,
// INTERNAL_API_SECRET and PROTO_DIR. Prints each step that held; exits with 1 at the first that did not.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import path from 'node:path';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

const { GRPC_ADDRESS: address, PROVISIONER_ADDRESS: below, INTERNAL_API_SECRET: secret, PROTO_DIR: protoDir } = process.env;
assert.ok(address && below && secret && protoDir, 'an address, the secret or PROTO_DIR is not set');

const require = createRequire(import.meta.url);
const packageFile = (name, file) => path.join(path.dirname(require.resolve(`${name}/package.json`)), file);
const load = (file, includeDirs) =>
  grpc.loadPackageDefinition(
    protoLoader.loadSync(file, { includeDirs, enums: String, longs: String, defaults: true, oneofs: true }),
  );

const own = load('livepreview/v1/session.proto', [protoDir]).livepreview.v1;
const { TenantDirectory } = load('livepreview/v1/directory.proto', [protoDir]).livepreview.v1;
const { ProvisionerService } = load('livepreview/v1/provisioner.proto', [protoDir]).livepreview.v1;
const health = load(packageFile('grpc-health-check', 'proto/health/v1/health.proto')).grpc.health.v1;
const reflection = load(packageFile('@grpc/reflection', 'build/proto/grpc/reflection/v1/reflection.proto')).grpc.reflection.v1;

const plain = grpc.credentials.createInsecure();
const sessions = new own.SessionService(address, plain);
const directory = new TenantDirectory(address, plain);
const provisioner = new ProvisionerService(below, plain);

const withSecret = (value = secret) => {
  const metadata = new grpc.Metadata();
  metadata.set('x-internal-secret', value);
  return metadata;
};

/** Calls one method; rejects with grpc-js's ServiceError. */
const call = (client, method, request, metadata = new grpc.Metadata()) =>
  new Promise((resolve, reject) => {
    const deadline = Date.now() + 30_000;
    client[method](request, metadata, { deadline }, (error, answer) => (error ? reject(error) : resolve(answer)));
  });

/** Asserts that a call fails with a canonical code and the REST code as ErrorInfo's reason. */
const refused = async (promise, code, reason) => {
  const error = await promise.then(
    (answer) => assert.fail(`expected ${reason}, got ${JSON.stringify(answer)}`),
    (error) => error,
  );
  assert.equal(grpc.status[error.code], code, error.message);
  const details = error.metadata?.get('grpc-status-details-bin')[0] ?? Buffer.alloc(0);
  // google.rpc.Status holds the reason as a plain string; its proto files are not needed to see it.
  assert.ok(details.includes(reason), `ErrorInfo lacks ${reason}: ${details.toString('latin1')}`);
};

const ask = (request) =>
  new Promise((resolve, reject) => {
    const stream = new reflection.ServerReflection(address, plain).ServerReflectionInfo();
    stream.on('data', (answer) => {
      resolve(answer);
      stream.end();
    });
    stream.on('error', reject);
    stream.write(request);
  });

const wanted = {
  selectedFeatures: ['auth.basic', 'ecommerce.products', 'ecommerce.cart'],
  tier: 'starter',
  clientIp: '203.0.113.7',
};
const settled = async (session) => {
  const end = Date.now() + 60_000;
  while (session.status !== 'SESSION_STATUS_READY' && Date.now() < end) {
    await new Promise((done) => setTimeout(done, 50));
    ({ session } = await call(sessions, 'GetSession', { session: { sessionToken: session.sessionToken } }, withSecret()));
  }
  return session;
};

const steps = {
  'health is told without the secret': async () => {
    const client = new health.Health(address, plain);
    for (const service of ['', 'livepreview.v1.SessionService']) {
      assert.equal((await call(client, 'Check', { service })).status, 'SERVING');
    }
  },

  'reflection describes the services without the secret': async () => {
    const { listServicesResponse } = await ask({ listServices: '' });
    const names = listServicesResponse.service.map(({ name }) => name);
    for (const name of ['livepreview.v1.SessionService', 'livepreview.v1.TenantDirectory', 'grpc.health.v1.Health']) {
      assert.ok(names.includes(name), `${name} is not among ${names}`);
    }
    const { fileDescriptorResponse } = await ask({ fileContainingSymbol: 'livepreview.v1.SessionService' });
    assert.ok(fileDescriptorResponse.fileDescriptorProto.some((file) => file.includes('CreateSessionRequest')));
  },

  'every call is refused without the secret, and with a wrong one': async () => {
    const nobody = { session: { id: '01890000-0000-7000-8000-000000000000' } };
    const calls = [['CreateSession', wanted], ['GetSession', nobody], ['Heartbeat', nobody], ['EndSession', nobody]];
    for (const [method, request] of calls) {
      for (const metadata of [new grpc.Metadata(), withSecret('x'.repeat(secret.length))]) {
        await refused(call(sessions, method, request, metadata), 'UNAUTHENTICATED', 'UNAUTHORIZED');
      }
    }
  },

  'a session lives from creation to its end': async () => {
    const created = await call(sessions, 'CreateSession', wanted, withSecret());
    const session = await settled(created.session);
    assert.match(session.sessionToken, /^[a-z0-9]{20,}$/);
    assert.deepEqual(session.selectedFeatures, ['ecommerce.cart', 'ecommerce.products']);
    assert.deepEqual(session.ignoredFeatures, ['auth.basic']);
    assert.equal(session.currency, 'USD');

    const { id, sessionToken } = session;
    const byToken = await call(sessions, 'GetSession', { session: { sessionToken } }, withSecret());
    assert.equal(byToken.session.id, id);
    assert.equal(byToken.session.sessionToken, sessionToken);
    const byId = await call(sessions, 'GetSession', { session: { id } }, withSecret());
    assert.equal(byId.session.sessionToken, '', 'whoever knows only the id must not learn the token');

    const beat = await call(sessions, 'Heartbeat', { session: { id } }, withSecret());
    assert.equal(beat.status, 'SESSION_STATUS_READY');

    assert.equal((await call(sessions, 'EndSession', { session: { id } }, withSecret())).endedNow, true);
    assert.equal((await call(sessions, 'EndSession', { session: { id } }, withSecret())).endedNow, false);
    await refused(call(sessions, 'GetSession', { session: { id } }, withSecret()), 'FAILED_PRECONDITION', 'SESSION_EXPIRED');
    await refused(call(sessions, 'Heartbeat', { session: { id } }, withSecret()), 'FAILED_PRECONDITION', 'SESSION_EXPIRED');
  },

  'the directory resolves a session by its id and by the hash of its token': async () => {
    const { session } = await call(sessions, 'CreateSession', wanted, withSecret());
    const { sessionToken, id } = await settled(session);
    const tokenHash = createHash('sha256').update(sessionToken).digest();
    for (const by of [{ tokenHash }, { sessionId: id }]) {
      const { tenant } = await call(directory, 'ResolveTenant', by, withSecret());
      assert.equal(tenant.schemaName, `preview_${id.replaceAll('-', '')}`);
      assert.deepEqual(tenant.enabledFeatures, ['ecommerce.cart', 'ecommerce.products']);
      for (const metadata of [new grpc.Metadata(), withSecret('x'.repeat(secret.length))]) {
        await refused(call(directory, 'ResolveTenant', by, metadata), 'UNAUTHENTICATED', 'UNAUTHORIZED');
      }
    }
    await call(sessions, 'EndSession', { session: { id } }, withSecret());
  },

  'the provisioner makes a schema once and drops it once': async () => {
    const sessionId = '01890000-0000-7000-8000-000000000001';
    const order = { sessionId, modules: ['ecommerce'], currency: 'EUR' };
    const made = await call(provisioner, 'ProvisionSchema', order, withSecret());
    assert.equal(made.schemaName, `preview_${sessionId.replaceAll('-', '')}`);
    assert.equal((await call(provisioner, 'ProvisionSchema', order, withSecret())).roleName, made.roleName);
    assert.equal((await call(provisioner, 'DropSchema', { sessionId }, withSecret())).existed, true);
    assert.equal((await call(provisioner, 'DropSchema', { sessionId }, withSecret())).existed, false);
    assert.equal((await call(provisioner, 'PoolStatus', {}, withSecret())).target > 0, true);
    const calls = [['ProvisionSchema', order], ['DropSchema', { sessionId }], ['PoolStatus', {}]];
    for (const [method, request] of calls) {
      for (const metadata of [new grpc.Metadata(), withSecret('x'.repeat(secret.length))]) {
        await refused(call(provisioner, method, request, metadata), 'UNAUTHENTICATED', 'UNAUTHORIZED');
      }
    }
  },

  'one idempotency key is one session, also in parallel': async () => {
    const request = { ...wanted, idempotencyKey: `launch-${Date.now()}` };
    const answers = await Promise.all(Array.from({ length: 5 }, () => call(sessions, 'CreateSession', request, withSecret())));
    answers.push(await call(sessions, 'CreateSession', request, withSecret()));
    assert.equal(new Set(answers.map(({ session }) => session.id)).size, 1);
    assert.equal(new Set(answers.map(({ session }) => session.sessionToken)).size, 1);
    assert.equal(answers.filter(({ replayed }) => !replayed).length, 1);
    const other = { ...request, tier: 'enterprise' };
    await refused(call(sessions, 'CreateSession', other, withSecret()), 'FAILED_PRECONDITION', 'IDEMPOTENCY_CONFLICT');
  },

  'mistakes are told by field': async () => {
    const create = (change) => call(sessions, 'CreateSession', { ...wanted, ...change }, withSecret());
    await refused(create({ selectedFeatures: ['Not A Slug'] }), 'INVALID_ARGUMENT', 'selected_features');
    await refused(create({ tier: '' }), 'INVALID_ARGUMENT', 'tier');
    await refused(create({ clientIp: 'nowhere' }), 'INVALID_ARGUMENT', 'VALIDATION_ERROR');
    const unknown = { session: { id: '01890000-0000-7000-8000-000000000000' } };
    await refused(call(sessions, 'GetSession', unknown, withSecret()), 'NOT_FOUND', 'SESSION_NOT_FOUND');
  },
};

for (const [name, step] of Object.entries(steps)) {
  try {
    await step();
  } catch (error) {
    console.error(`NOT so: ${name}\n`, error);
    process.exit(1);
  }
  console.log(`${name}: so`);
}
process.exit(0);

// Run by file.test.ts in a process of its own: takes a lock, says so, and waits to be killed.
import { FileStorage } from '../../src/storage/file.ts';

const [path = '', start = '', mode = ''] = process.argv.slice(2);
const kind = mode === 'shared' ? 'shared' : 'exclusive';
const storage = FileStorage.open(path, { mode: kind === 'shared' ? 'read' : 'write' });
process.stdout.write(storage.tryLock(Number(start), 1, kind) ? 'held' : 'refused');
setInterval(() => {}, 1000);

import { describe, expect, it } from 'vitest';
import { Spares } from '../../src/log/spares.ts';

describe('spare memory', () => {
  it('is used again before new memory is made, also when it is not kept any more', () => {
    let made = 0;
    const spares = new Spares(() => ({ number: ++made }));
    const taken = [spares.take(), spares.take(), spares.take()];
    expect(made).toBe(3);
    for (const spare of taken) spares.give(spare);
    spares.loosen(1);
    spares.loosen(1);
    // The collector can not have found what this test still holds.
    const again = new Set([spares.take(), spares.take(), spares.take()]);
    expect(again).toEqual(new Set(taken));
    expect(made).toBe(3);
    expect(spares.take().number).toBe(4);
  });
});

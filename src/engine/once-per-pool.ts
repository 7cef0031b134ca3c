import type { KvPool } from "../cache/kv-pool.ts";

/** Values that are worked out once for a key, and anew once the device has another pool. */
export class OncePerPool<Key extends object, Value> {
  private readonly kept = new WeakMap<Key, { readonly pool: KvPool; readonly value: Value }>();

  of(key: Key, pool: KvPool, work: () => Value): Value {
    const known = this.kept.get(key);
    if (known?.pool === pool) return known.value;
    const value = work();
    this.kept.set(key, { pool, value });
    return value;
  }
}

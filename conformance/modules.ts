export async function runNetwork(..._: unknown[]): Promise<string | null> { return 'not yet'; }

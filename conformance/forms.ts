export type FormsMode = 'none' | 'sample' | 'all';
export interface FormCounts { checked: number; failed: number; missing: Record<string, string[]> }
export const newFormCounts = (): FormCounts => ({ checked: 0, failed: 0, missing: {} });
export async function checkForms(..._: unknown[]): Promise<string | null> { return null; }

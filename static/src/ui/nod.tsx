/** A bowing head: うなずき. */
export function Nod({ size = 20 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" class="line-icon" aria-hidden="true">
      <circle cx="12" cy="8" r="4.5" />
      <path d="M5 15.5c2 3 4.3 4.5 7 4.5s5-1.500 7-4.500M9 18l3 3.500L15 18" />
    </svg>
  );
}

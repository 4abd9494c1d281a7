import { Users } from "lucide-preact";
import { Level, type Role } from "../core/wire.ts";
import { text } from "../i18n/index.ts";
import { Avatar, Badge, Empty } from "./kit/bits.tsx";
import { PersonMenu, ReachBadge } from "./staff.tsx";
import { useVisit } from "./visit.ts";

const ORDER: Record<Role, number> = { speaker: 0, presenter: 1, moderator: 2, organiser: 3, attendee: 4 };

/** Who is inside: experts and staff first, then everybody by name. */
export function People() {
  const visit = useVisit();
  const t = text();
  const room = visit.room.value;
  const people = Object.entries(room.inside)
    .map(([id, role]) => ({ ...visit.card(id), id, role }))
    .sort((a, b) => ORDER[a.role] - ORDER[b.role] || a.name.localeCompare(b.name, "ja"));
  const staff = visit.level.value >= Level.STAFF;
  const present = visit.view.value?.signals.present;
  if (people.length === 0) return <Empty icon={<Users aria-hidden="true" />}>{t.room.peopleEmpty}</Empty>;
  return (
    <section class="people" tabIndex={0} aria-label={t.room.tabs.people}>
      <ul>
        {people.map((person) => {
          const away = present && !present.includes(person.id);
          return (
            <li key={person.id} class="person" data-testid="person" data-person-id={person.id}>
              <Avatar id={person.id} name={person.name} />
              <div class="grow">
                <div class="row tight">
                  <span class="strong clip">{person.name}</span>
                  {person.id === visit.myId.value && (
                    <span class="small soft">{t.common.aside(t.common.you)}</span>
                  )}
                </div>
                {person.profession && <p class="small soft clip">{person.profession}</p>}
              </div>
              {staff && away && <Badge tone="warn">{t.line.quality[0]}</Badge>}
              {staff && <ReachBadge reach={room.people[person.id]?.reach} />}
              {staff && room.people[person.id]?.muted && <Badge tone="warn">{t.staff.muted}</Badge>}
              {room.stage.seats.includes(person.id) && <Badge tone="live-soft">{t.room.onStage}</Badge>}
              {person.alike && <Badge tone="warn">{t.alike}</Badge>}
              {person.role !== "attendee" && <Badge tone="accent">{t.roles[person.role]}</Badge>}
              {staff && <PersonMenu person={person.id} />}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

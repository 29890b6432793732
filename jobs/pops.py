"""Pops: showing a call on its agent's screen while it lives."""

from __future__ import annotations

from datetime import timedelta

from domain.errors import Upstream
from domain.ports import Ring
from domain.urgency import urgently
from jobs.activities import agent_line, stories
from jobs.services import Services
from store.connections import Tie
from store.effects import Effect

POP_IS_STALE = timedelta(seconds=30)  # a call that rang longer ago pops up on nobody's screen


@urgently()
def pop(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Show ringing calls on screens; a pop that is late, or fails, is not worth repeating."""
    bridge = services.bridge(tie)
    told = stories(services, tie, batch)
    for effect in batch:
        story = told.get(effect.id)
        late = services.now() - effect.created_at > POP_IS_STALE
        if late or effect.state == "unknown" or story is None or story.user is None:
            services.effects.drop(tie.tenant, [effect], "pop.stale", state="dropped")
            continue
        call = story.kept.call
        services.effects.claim(tie.tenant, [effect])
        try:
            bridge.ring(
                Ring(
                    call=str(story.kept.id),
                    direction=call.direction,
                    state="ringing" if effect.payload.get("state") == "ringing" else "answered",
                    customer=call.customer,
                    agent=agent_line(story),
                    owner_login=story.user.login_id,
                )
            )
        except Upstream as error:
            services.effects.drop(tie.tenant, [effect], error.code, state="dropped")
            services.connections.trouble(tie.tenant, tie.id, error.code)
            continue
        with services.db.tenant(tie.tenant) as database:
            services.effects.done(database, tie.tenant, {effect.id: ""})

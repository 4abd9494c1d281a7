"""Every event and every command by name: the unions that the codec decodes."""

from typing import Final, get_args

from rooms import acts, chat, core, door, hands, polling, polls, questions, queue, session, stage

AnyEvent = (
    session.Opened
    | session.SettingsChanged
    | session.StateChanged
    | session.LinksVoided
    | door.Filed
    | door.Entered
    | door.Left
    | door.YourStanding
    | door.YouWereMuted
    | door.DoorSpoken
    | door.DoorHeard
    | door.Forgotten
    | door.YourDoorTalkErased
    | door.CardChanged
    | door.CardAtDoorChanged
    | door.YourCardChanged
    | stage.Seated
    | stage.Unseated
    | stage.SourceMuted
    | stage.Veiled
    | stage.Spotlit
    | stage.TimerSet
    | hands.HandsSet
    | hands.HandRaised
    | hands.HandLowered
    | hands.HandFiled
    | hands.YourHand
    | chat.Posted
    | chat.PostedBackstage
    | chat.PostedToStaff
    | chat.Reacted
    | chat.ReactedBackstage
    | chat.ReactedToStaff
    | chat.Held
    | chat.YoursHeld
    | chat.HeldDropped
    | chat.YoursDropped
    | chat.ChatRulesSet
    | questions.QuestionFiled
    | questions.QuestionListed
    | questions.QuestionUnlisted
    | questions.OwnQuestionChanged
    | questions.Voted
    | questions.QuestionRulesSet
    | polls.PollFiled
    | polls.PollDropped
    | polls.PollListed
    | polls.BallotCast
    | acts.ActRecorded
)

AnyCommand = (
    session.SetState
    | session.ChangeSettings
    | door.Knock
    | door.TellReach
    | door.Leave
    | door.Admit
    | door.AdmitAll
    | door.SendBack
    | door.SayAtDoor
    | door.Remove
    | door.Unblock
    | door.Mute
    | stage.BringOn
    | stage.TakeOff
    | stage.StepDown
    | stage.MuteSource
    | stage.Spotlight
    | stage.SetTimer
    | stage.LiftVeil
    | stage.StopEverything
    | hands.RaiseHand
    | hands.LowerHand
    | hands.Invite
    | hands.AnswerInvitation
    | hands.SetHands
    | chat.Post
    | chat.EditMessage
    | chat.DeleteMessage
    | chat.React
    | chat.Pin
    | chat.SetChatRules
    | chat.ReviewHeld
    | queue.Ask
    | queue.Revise
    | queue.Withdraw
    | queue.Vote
    | queue.ClaimQuestion
    | queue.Approve
    | queue.ReturnQuestion
    | queue.Decline
    | queue.Queue
    | queue.PutBack
    | queue.OrderNext
    | queue.Take
    | queue.Answer
    | queue.Reopen
    | queue.Merge
    | queue.Address
    | queue.LabelQuestion
    | queue.ConvertMessage
    | queue.SetQuestionRules
    | polling.DraftPoll
    | polling.EditPoll
    | polling.DropPoll
    | polling.OpenPoll
    | polling.ClosePoll
    | polling.ShowResults
    | polling.ReopenPoll
    | polling.CastBallot
)
"""What may come over the wire. The server alone asks `Open`, `VoidLinks`, `NoteAct`,
`Arrive`, `TellCard`, `ForgetMe`, `ExpireHands` and `ExpireSeat`."""

EVENTS: Final[tuple[type[core.Event], ...]] = get_args(AnyEvent)
COMMANDS: Final[tuple[type[core.Command], ...]] = get_args(AnyCommand)

"""Everything about Google and nothing about it anywhere else: consent, contacts, mail, its tokens and its pushes.

`provider` says what is asked for, `people` and `gmail` implement the sockets in `domain.ports`, `tokens` and `push`
read what Google sends us. `discovery`, `transport` and `remedy` are how a call travels and what a refusal means;
`sandbox` is Google's understudy.
"""

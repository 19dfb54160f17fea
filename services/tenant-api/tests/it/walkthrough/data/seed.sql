INSERT INTO guestbook_entries (id, author, message, is_hidden, created_at, updated_at)
SELECT provisioner.seed_id('entries/' || author), author, message, is_hidden, now() - age, now() - age
FROM (
    VALUES
        ('Lena', 'The oak lamp is lovely.', false, interval '3 days'),
        ('Noah', 'See you at the market on Sunday!', false, interval '2 days'),
        ('A bot', 'Buy cheap things elsewhere.', true, interval '1 day')
) AS entry (author, message, is_hidden, age);

CREATE TABLE guestbook_entries (
    id         uuid PRIMARY KEY,
    author     text NOT NULL,
    message    text NOT NULL,
    is_hidden  boolean NOT NULL DEFAULT false,
    likes      integer NOT NULL DEFAULT 0,
    version    integer NOT NULL DEFAULT 1,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now()
);
